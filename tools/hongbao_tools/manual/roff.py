"""One man page, in the man(7) macros, from a Command or from prose alone."""

import re
import textwrap

_ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_CODE = re.compile(r"`([^`]+)`|(?<![\w-])(--?[a-z][a-z0-9-]*)(?![\w])")
_ORDER = ("DESCRIPTION", "OPTIONS", "NOTES", "EXAMPLES", "EXIT STATUS", "SIGNALS", "HTTP", "ENVIRONMENT", "FILES")
_COLUMNS = 78  # of the source


def escape(text):
    """Text as it stands; a line must not begin with what roff would take for a request."""
    made = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return "\\&" + made if made.startswith(".") else made


def marked_up(text):
    """A paragraph: `code` and flags in bold."""
    parts, end = [], 0
    for found in _CODE.finditer(text):
        parts += [escape(text[end:found.start()]), f"\\fB{escape(found.group(1) or found.group(2))}\\fR"]
        end = found.end()
    lines = textwrap.wrap("".join([*parts, escape(text[end:])]), _COLUMNS, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\\&" + line if line.startswith(".") else line for line in lines)


def _sentence(text, typed=""):
    """A --help's first words without the name of the command, which the page has said already, and with a capital."""
    text = text[len(typed) + 2:] if typed and text.startswith(f"{typed}: ") else text
    return text if text.startswith("hongbao") else text[:1].upper() + text[1:]


def _verbatim(lines):
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [".PP", ".nf", ".RS 4", *(escape(line[margin:]) for line in lines), ".RE", ".fi"]


def _term(term, text):
    return [".TP", term, marked_up(text)]


def prose(lines):
    """A section of a prose file: paragraphs; 'term :: text'; lines indented by four as they are."""
    made = []
    for part in "\n".join(lines).strip("\n").split("\n\n"):
        rows = part.split("\n")
        if all(row.startswith("    ") for row in rows):
            made += _verbatim(rows)
        elif " :: " in rows[0]:
            for entry in re.split(r"\n(?=\S)", part):
                term, _, text = " ".join(entry.split()).partition(" :: ")
                made += _term(f"\\fB{escape(term)}\\fR", text)
        elif part.strip():
            made += [".PP", marked_up(" ".join(part.split()))]
    return made


def _flags(flags):
    made, group = [], None
    for flag in flags:
        if flag.group != group and not (group is None and flag.group == "options"):
            made.append(f".SS {escape(flag.group.capitalize())}")
        group = flag.group
        names = ", ".join(f"\\fB{escape(name)}\\fR" for name in flag.names)
        made += _term(names + (f" \\fI{escape(flag.value)}\\fR" if flag.value else ""), flag.text)
    return made


def _options(command):
    """All flags: the command's own, then those of each subcommand or mode."""
    found = command.help
    made = []
    for place, text in found.places if not found.subcommands else []:
        made += _term(f"\\fI{escape(place)}\\fR", text)
    made += _flags(found.flags)
    for name, text in found.subcommands:
        one = command.helps[name]
        made += [f".SS \"{escape(command.prose.typed + ' ' + name)}\"", marked_up(_sentence(text) + ".")]
        made += [line for said in one.description for line in (".PP", marked_up(_sentence(said, f"{command.prose.typed} {name}")))]
        for place, meaning in one.places:
            made += _term(f"\\fI{escape(place)}\\fR", meaning)
        made += _flags(one.flags)
    for mode in command.prose.modes:
        one = command.helps[mode]
        made += [f".SS \"{escape(command.prose.typed + ' ' + mode)}\"", *(marked_up(paragraph) for paragraph in one.description)]
        made += _flags(one.flags)
    return made


def _synopsis(command):
    made = []
    for context, found in command.helps.items():
        usage = found.usage if context in ("", *command.prose.modes) else f"{command.prose.typed} {context} [FLAGS]"
        if context and found.places:
            usage = " ".join([f"{command.prose.typed} {context} [FLAGS]", *(place for place, _ in found.places)])
        words = usage.split(" ")
        size = len(command.prose.typed.split(" "))
        made += [*([".br"] if made else []), f"\\fB{escape(' '.join(words[:size]))}\\fR {escape(' '.join(words[size:]))}"]
    return made


def _from_help(command):
    """Title -> lines, of what --help says."""
    found = command.help
    return {
        "OPTIONS": _options(command),
        "NOTES": prose([line.strip() for line in found.verbatim.get("notes", [])]),
        **{title.upper(): _verbatim(lines) for title, lines in found.verbatim.items() if title != "notes"},
        "EXIT STATUS": [line for code, text in found.exit_codes for line in _term(f"\\fB{code}\\fR", text)],
        "ENVIRONMENT": [line for name, text in found.environment for line in _term(f"\\fB{escape(name)}\\fR", text)],
    }


def page(words, version, command=None):
    """The whole page. `words`: its Prose; without `command` that is all there is."""
    title = words.page.upper()
    lines = [f".\\\" Made by tools/manual of docs/commands/{words.page}.txt" + (f" and {words.typed} --help." if command else "."),
             f".TH \"{escape(title)}\" \"{words.section}\" \"\" \"hongbao {version}\" \"hongbao\"", ".nh", ".ad l",
             ".SH NAME", f"{escape(words.page)} \\- {escape(words.name)}"]
    if command:
        lines += [".SH SYNOPSIS", *_synopsis(command)]
    asked = _from_help(command) if command else {}
    told = dict(words.sections)
    for name in [*_ORDER, *(name for name in [*asked, *told] if name not in _ORDER)]:
        body = prose(told[name]) if name in told else []
        if name == "DESCRIPTION" and command:
            body = [line for text in command.help.description for line in (".PP", marked_up(_sentence(text, words.typed)))] + body
        body = asked.get(name, []) + body
        if body:
            lines += [f".SH \"{name}\"", *(body[1:] if body[0] == ".PP" else body)]
    if words.see:
        lines += [".SH \"SEE ALSO\"", ", ".join(f"\\fB{escape(one.partition('(')[0])}\\fR({one.partition('(')[2]}" for one in words.see)]
    return "\n".join(lines) + "\n"
