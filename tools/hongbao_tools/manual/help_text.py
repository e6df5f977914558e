"""What a command's --help says, read back: usage, description, flags, places, subcommands, examples, exit codes, environment.

The layout is that of libhongbao/cli/help.h and common/command_line.py: a section is a lower-case title with a colon; an entry is
indented by two blanks, its meaning follows after two or more, and further lines of it are indented by more. Anything else is refused, so
that no line of a --help is lost on the way to the page."""

import dataclasses
import re
from typing import Dict, List, Tuple

_TITLE = re.compile(r"([a-z][a-z ,]*):$")
_ENTRY = re.compile(r" {2}(\S.*?)(?: {2,}(\S.*))?$")
_FLAG = re.compile(r"-[A-Za-z0-9]$|--[a-z0-9][a-z0-9-]*$")
_POSITIONAL = "positional arguments"


class NotUnderstood(Exception):
    """A --help that does not keep to the layout; the text says where."""


@dataclasses.dataclass
class Flag:
    names: List[str]  # short ones first
    value: str        # as --help shows it ("FILE", "1|2"), "" for a switch
    text: str
    group: str        # the section it stands in

    @property
    def key(self):
        return self.names[-1]


@dataclasses.dataclass
class Help:
    usage: str = ""
    description: List[str] = dataclasses.field(default_factory=list)  # paragraphs
    flags: List[Flag] = dataclasses.field(default_factory=list)
    places: List[Tuple[str, str]] = dataclasses.field(default_factory=list)
    subcommands: List[Tuple[str, str]] = dataclasses.field(default_factory=list)
    verbatim: Dict[str, List[str]] = dataclasses.field(default_factory=dict)  # "examples", "notes", what else has a title -> lines
    exit_codes: List[Tuple[int, str]] = dataclasses.field(default_factory=list)
    environment: List[Tuple[str, str]] = dataclasses.field(default_factory=list)

    def flag_names(self):
        return {name for flag in self.flags for name in flag.names}


def _entries(title, lines):
    """[(left, right)], from the lines of a section; further lines joined."""
    entries = []
    for line in lines:
        found = _ENTRY.match(line)
        if found:
            entries.append([found.group(1), found.group(2) or ""])
        elif entries and line.startswith("   "):
            entries[-1][1] = f"{entries[-1][1]} {line.strip()}".strip()
        else:
            raise NotUnderstood(f"section '{title}': {line!r} is neither an entry nor more of one")
    return [(left, right) for left, right in entries]


def _flag(left, text, group):
    *names, last = left.split(", ")
    name, _, value = last.partition(" ")
    for each in (*names, name):
        if not _FLAG.match(each):
            raise NotUnderstood(f"section '{group}': {each!r} is no flag in kebab-case")
    if not text:
        raise NotUnderstood(f"section '{group}': {name} is not explained")
    return Flag(sorted([*names, name], key=len), value, text, group)


def _places(lines, found):
    """Positional arguments; argparse lists subcommands below theirs, indented once more."""
    if any(re.match(r" {4}\S+ {2,}\S", line) for line in lines) and len(_entries(_POSITIONAL, lines)) == 1:
        found.places = [(lines[0].strip(), "see below")]
        found.subcommands = _entries("subcommands", [line[2:] for line in lines[1:]])
    else:
        found.places = _entries(_POSITIONAL, lines)


def _section(title, lines, found):
    if title == "exit codes":
        found.exit_codes = [(int(code), text) for code, text in _entries(title, lines)]
    elif title == "environment":
        found.environment = _entries(title, lines)
    elif title == _POSITIONAL:
        _places(lines, found)
    elif title in ("examples", "notes") or not any(line.startswith("  -") for line in lines):
        found.verbatim[title] = lines
    else:
        group = "options" if title == "optional arguments" else title  # Python 3.9 and before
        found.flags += [_flag(left, text, group) for left, text in _entries(title, lines)]


def parse(text):
    """The Help of one --help; NotUnderstood if it keeps to another layout."""
    found, sections, prose = Help(), [], []
    for line in text.rstrip().split("\n"):
        title = _TITLE.match(line)
        if title:
            sections.append((title.group(1), []))
        elif line.startswith("usage: ") and not sections:
            found.usage = line[len("usage: "):]
            prose.append("")
        elif sections:
            sections[-1][1].append(line)
        else:
            prose.append(line)
    found.description = [" ".join(part.split()) for part in "\n".join(prose).split("\n\n") if part.strip()]
    for title, lines in sections:
        while lines and not lines[-1].strip():
            lines.pop()
        _section(title, lines, found)
    if not found.usage or not found.flags:
        raise NotUnderstood("no usage line, or no flags")
    return found
