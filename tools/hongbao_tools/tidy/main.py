"""tools/tidy: checks the rules of this source tree that no compiler knows.

  * include arrows: a room of libhongbao includes only the rooms and libraries that docs/ARCHITECTURE.md lets it know, and that page's
    table and drawing say the same as the table here;
  * headers are at most 200 lines, open with a contract comment that has a "Thread tag:" line, and compile alone (x.cc includes
    x.h before anything else; those without an x.cc are compiled by --headers);
  * a header that needs nothing else of the library includes libhongbao/cpp20.h;
  * functions fit on a screen (C++ and Python), and no .cc is longer than 600 lines;
  * what has an x.h and an x.cc has a test that includes it;
  * no stray reminders, no trailing blanks, no path of somebody's machine;
  * every file, folder and heading that a page of documentation names or links to is there.

With --format: C++ is laid out as .clang-format says. Prints one "path:line: finding" a line. Standard library only.
"""

import argparse
import ast
import concurrent.futures
import os
import re
import shutil
import subprocess

from ..common import command_line, exit_codes, streams
from ..common.paths import ROOT

HEADER_LINES_MAX = 200
FILE_LINES_MAX = 600  # x.cc, and the fixtures of tests
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 130  # .clang-format breaks there

# Room -> rooms it may include. The four headers beside the rooms are everybody's.
ARROWS = {
    "time": set(),
    "count": set(),
    "wire": set(),
    "envelope": set(),
    "ring": set(),
    "net": {"ring", "time", "count"},
    "ledger": {"envelope"},
    "serve": {"net", "wire", "envelope", "ledger", "count", "time"},  # ledger: the interface, ledger.h, alone
    "load": {"net", "wire", "count", "time"},  # never envelope: the client is an independent witness of the money
    "cli": {"time", "wire"},  # wire: the tokens
    "http": {"cli"},
    "watch": {"cli", "http", "count", "time", "wire"},  # wire: the counter record
    # Programs. The monitor and tools/conns stand on what anybody's service stands on, and see neither side of the load.
    "server": {"serve", "ledger", "envelope", "net", "wire", "cli", "http", "watch", "count", "time"},
    "client": {"load", "net", "wire", "cli", "http", "watch", "count", "time"},
    "monitor": {"net", "wire", "cli", "http", "watch", "count", "time"},
    "conns": {"cli", "watch", "time"},
}
# Folders of rooms that are not libhongbao/<room>.
PROGRAMS = {"server": "server", "client": "client", "tools/monitor": "monitor", "tools/conns_program": "conns"}

# Include (pattern) -> rooms of libhongbao that may have it. What is not listed is free.
LIBRARIES = [
    (r"liburing\.h|linux/io_uring\.h", {"ring"}),
    (r"httplib\.h", {"http"}),
    (r"prometheus/.*", {"watch"}),
    (r"CLI/.*", {"cli"}),
    (r"nlohmann/.*", {"cli", "http", "watch"}),
    (r"sys/socket\.h|netinet/.*|arpa/inet\.h|netdb\.h", {"ring", "net", "serve", "load", "http", "watch"}),
    (r"thread|mutex|shared_mutex|condition_variable|future", {"time", "net", "serve", "load", "cli", "http", "watch", "ledger"}),
    (r"chrono|ctime|time\.h|sys/time(x|)\.h", {"time", "count", "ring", "net", "serve", "load", "cli", "http", "watch", "ledger"}),
    (r"sqlite3\.h", {"ledger"}),
    (r"sodium\.h", {"cli"}),
    (r"exception|stdexcept|iostream", {"cli", "http", "watch"}),
]

# Only glue between parts that have tests of their own; tests/end_to_end and the echo test run it for real.
TESTED_AS_PROCESSES = {"libhongbao/net/run.h", "libhongbao/serve/server.h", "libhongbao/load/client.h"}

OUR_FOLDERS = ("libhongbao", "server", "client", "examples", "benchmarks", "tests", "tools")
SOURCE_SUFFIXES = (".h", ".cc", ".py", ".sh", ".build", ".md", ".txt", ".wrap", ".yml", ".in")
FORMATTER = "clang-format-14"
UNFORMATTED = re.compile(r"^(\S+):(\d+):\d+: warning: code should be clang-formatted", re.M)
REMINDER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}{])/(?:wo" + r"rk|ro" + r"ot|home/[a-z]\w*)/\w|\.\./sha" + r"red\b")
NAMED_FILE = re.compile(r"`((?:libhongbao|server|client|examples|benchmarks|tests|tools|docs)/[\w./-]+)`")
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


class Findings:
    def __init__(self):
        self.lines = []

    def add(self, path, line, text):
        self.lines.append(f"{path}:{line}: {text}")


def source_files(root):
    """Paths, relative to root, of the files to check: no build trees, no unpacked subprojects, nothing generated."""
    result = []
    for folder, folders, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == ".":
            folders[:] = [f for f in folders if not f.startswith(("build", "hongbao-", ".git"))]
        if relative == "subprojects":
            folders[:] = []
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(files):
            path = os.path.normpath(os.path.join(relative, name))
            if name.endswith(SOURCE_SUFFIXES) or is_script(os.path.join(root, path)):
                result.append(path)
    return result


def is_script(path):
    if "." in os.path.basename(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def is_test(path):
    return path.startswith("tests" + os.sep)


def room_of(path):
    """'wire' for libhongbao/wire/frame.h, 'monitor' for tools/monitor/main.cc, None outside of the rooms."""
    folder, parts = os.path.dirname(path), path.split(os.sep)
    return parts[1] if parts[0] == "libhongbao" and len(parts) > 2 else PROGRAMS.get(folder)


def check_includes(path, lines, findings):
    room = room_of(path)
    if room is not None and room not in ARROWS:
        findings.add(path, 1, f"room {room} is not in tools/tidy's table of arrows")
        return
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        parts = target.split("/")
        fixture = is_test(path) and len(parts) == 1  # a test names the fixture beside it
        if quote == '"' and (".." in parts or len(parts) == 1) and target != "httplib.h" and not fixture:
            findings.add(path, number, f'#include "{target}": name it from the root of the project')
        other = room_of(target)
        if room is not None and other not in (None, room) and other not in ARROWS[room]:
            findings.add(path, number, f"{room}/ may not include {other}/ ({target})")
        if not path.startswith("libhongbao" + os.sep):
            continue
        if other is None and parts[0] in OUR_FOLDERS and parts[0] != "libhongbao":
            findings.add(path, number, f"the library includes {target}: it may not know who uses it")
        for pattern, rooms in LIBRARIES:
            if room is not None and room not in rooms and re.fullmatch(pattern, target):
                findings.add(path, number, f"{room}/ may not include {target} (only {', '.join(sorted(rooms))})")


def check_header(path, lines, findings):
    limit = FILE_LINES_MAX if is_test(path) else HEADER_LINES_MAX  # fixtures are headers only so that they can be shared
    if len(lines) > limit:
        findings.add(path, limit + 1, f"{len(lines)} lines; a header has at most {limit}")
    if "#pragma once" not in lines:
        findings.add(path, 1, "no #pragma once")
    opening = []
    for line in lines:
        if not line.startswith("//"):
            break
        opening.append(line)
    if not opening:
        findings.add(path, 1, "does not open with a contract comment: what it owns, what it never does, thread tag")
    elif path.startswith("libhongbao" + os.sep) and not any("Thread tag:" in x for x in opening):
        findings.add(path, 1, 'the contract comment has no "Thread tag:" line')
    # Whoever compiles C++17 is told so before anything else: what a header includes comes before its own lines.
    ours = any(match and match.group(2).startswith("libhongbao/") for match in map(INCLUDE.match, lines))
    if path.startswith("libhongbao" + os.sep) and not ours and path != os.path.join("libhongbao", "cpp20.h"):
        findings.add(path, 1, 'includes no header of the library, not even "libhongbao/cpp20.h"')


def blank_out(text):
    """The C++ text with comments, strings and character literals blanked: same length, same line breaks."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


SCOPE = re.compile(r"^(?:\[\[[^]]*\]\]\s*|inline\s+|export\s+|typedef\s+|static\s+|const\s+|constexpr\s+)*"
                   r"(namespace|class|struct|union|enum|extern\b(?!.*\())")


def is_scope(head):
    """Whether the brace after `head` opens a namespace or a type, in which functions are to be looked for."""
    head = head.strip()
    while head.startswith("template"):  # its parameter list may say `class`
        depth, i = 0, head.find("<")
        while i >= 0 and i < len(head):
            depth += {"<": 1, ">": -1}.get(head[i], 0)
            i += 1
            if depth == 0:
                break
        head = re.sub(r"^\s*requires\s*(\([^)]*\)|[\w:<>]+)", "", head[max(i, 8):]).strip()
    return bool(SCOPE.match(head))


def cpp_functions(text):
    """Yields (first line, last line) of each function body that is not inside another one."""
    text = re.sub(r"^[ \t]*#.*?(?<!\\)$", lambda m: " " * len(m.group()), blank_out(text), flags=re.M)
    scopes, head_start, skip_depth, body_start = [], 0, 0, None
    line = 1
    for i, c in enumerate(text):
        if c == "\n":
            line += 1
        elif skip_depth:  # inside a function, a table or an initialiser
            skip_depth += {"{": 1, "}": -1}.get(c, 0)
            if skip_depth == 0:
                if body_start is not None:
                    yield body_start, line
                head_start, body_start = i + 1, None
        elif c == "{":
            head = text[head_start:i]
            if is_scope(head):
                scopes.append(c)
                head_start = i + 1
            else:
                skip_depth = 1
                is_function = ")" in head and not head.rstrip().endswith("=")
                body_start = line if is_function else None
        elif c == "}" and scopes:
            scopes.pop()
            head_start = i + 1
        elif c == ";":
            head_start = i + 1


def check_functions(path, text, findings):
    if path.endswith((".h", ".cc")):
        bodies = list(cpp_functions(text))
    else:
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            findings.add(path, error.lineno or 1, f"not Python: {error.msg}")
            return
        bodies = [(n.lineno, n.end_lineno) for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for first, last in bodies:
        if last - first + 1 > FUNCTION_LINES_MAX:
            findings.add(path, first, f"a function of {last - first + 1} lines; it has to fit on a screen ({FUNCTION_LINES_MAX})")


def check_text(path, lines, findings):
    for number, line in enumerate(lines, 1):
        match = REMINDER.search(line)
        if match:
            findings.add(path, number, f"stray {match.group()}: do it, or file it as an issue")
        if MACHINE_PATH.search(line):
            findings.add(path, number, "names a path of one machine")
        if line != line.rstrip():
            findings.add(path, number, "blanks at the end of the line")
        if path.endswith((".h", ".cc")) and len(line) > LINE_COLUMNS_MAX:
            findings.add(path, number, f"{len(line)} columns; at most {LINE_COLUMNS_MAX}")


def check_own_header_first(texts, findings):
    """x.cc includes x.h first, so that every build proves that x.h compiles alone."""
    for path, text in texts.items():
        header = path[:-3] + ".h"
        if room_of(path) is None or not path.endswith(".cc") or header not in texts:
            continue
        first = next(filter(None, map(INCLUDE.match, text.split("\n"))), None)
        if first is None or first.group(2) != header:
            findings.add(path, 1, f'the first include has to be "{header}": so it is proven to compile alone')


def check_tests(texts, findings):
    """Every x.h with an x.cc in a room has tests/<room>/x_test.cc, or at least a test that includes it, if through others."""
    included, queue = set(TESTED_AS_PROCESSES), [p for p in texts if is_test(p) and p.endswith((".cc", ".h"))]
    while queue:
        for match in filter(None, map(INCLUDE.match, texts[queue.pop()].split("\n"))):
            if match.group(2) in texts and match.group(2) not in included:
                included.add(match.group(2))
                queue.append(match.group(2))
    for path in texts:
        if room_of(path) in (None, *PROGRAMS.values()) or not path.endswith(".cc"):  # a program's parts run in tests/end_to_end
            continue
        header = path[:-3] + ".h"
        twin = os.path.join("tests", room_of(path), os.path.basename(path)[:-3] + "_test.cc")
        if header in texts and twin not in texts and header not in included:
            findings.add(header, 1, f"no {twin}, and no other test includes it")


def check_drawn_house(texts, findings):
    """The table of rooms in docs/ARCHITECTURE.md has the arrows of ARROWS, and its drawing has each room above those it includes."""
    path = os.path.join("docs", "ARCHITECTURE.md")
    if path not in texts:
        return
    lines = texts[path].split("\n")
    written, drawn, fences = {}, {}, 0
    begin = lines.index("## The house") if "## The house" in lines else 0
    for number, line in enumerate(lines[begin:], begin + 1):
        if number > begin + 1 and line.startswith("## "):
            break
        fences += line.startswith("```")
        if fences == 1:
            for room in re.findall(r"(?<![\w/])(\w+)/(?!\w)", line):
                drawn.setdefault(room, number)
        row = re.match(r"\| `(\w+)` \|([^|]*)\|", line)
        if row:
            written[row.group(1)] = (number, set(re.findall(r"\w+", row.group(2))))
    for room, arrows in ARROWS.items():
        number, known = written.get(room, (begin + 1, None))
        if known is None:
            findings.add(path, number, f"the table of rooms does not name {room}")
        elif known != arrows:
            findings.add(path, number, f"{room} may include {', '.join(sorted(arrows)) or 'no room'} by tools/tidy, "
                         f"{', '.join(sorted(known)) or 'no room'} by this table")
        if room not in drawn:
            findings.add(path, begin + 1, f"the drawing does not show {room}/")
        for other in sorted(arrows & drawn.keys()):
            if drawn.get(room, 0) >= drawn[other]:
                findings.add(path, drawn[other], f"{room}/ includes {other}/, but is not drawn above it")


def anchors(text):
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_named_files(root, texts, findings):
    """What a page names in backquotes, as `server/main.cc` or `tests/net`, and what it links to. CHANGELOG.md names what was."""
    for path in texts:
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(texts[path].split("\n"), 1):
            for name in NAMED_FILE.findall(line) if path != "CHANGELOG.md" else []:
                if not os.path.exists(os.path.join(root, name)) and not any(other.startswith(name + ".") for other in texts):
                    findings.add(path, number, f"there is no {name}")
            for name, anchor in LINK.findall(line):
                target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
                if "://" in name:
                    continue
                if not os.path.exists(os.path.join(root, target)):
                    findings.add(path, number, f"the link to {name} leads nowhere")
                elif anchor and anchor not in anchors(texts.get(target, "")):
                    findings.add(path, number, f"{target} has no heading #{anchor}")


def check_tree(root):
    findings = Findings()
    texts = {}
    for path in source_files(root):
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            texts[path] = file.read()
    for path, text in texts.items():
        lines = text.split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        check_text(path, lines, findings)
        if path.endswith((".h", ".cc")):
            check_includes(path, lines, findings)
        if path.endswith(".h"):
            check_header(path, lines, findings)
        elif path.endswith(".cc") and room_of(path) is not None and len(lines) > FILE_LINES_MAX:
            findings.add(path, 1, f"{len(lines)} lines; split it (at most {FILE_LINES_MAX})")
        if path.endswith((".h", ".cc", ".py")) or text.startswith("#!/usr/bin/env python3"):
            check_functions(path, text, findings)
    check_own_header_first(texts, findings)
    check_tests(texts, findings)
    check_drawn_house(texts, findings)
    check_named_files(root, texts, findings)
    return findings, len(texts)


def check_headers_alone(root, compiler):
    """Compiles each header of the library that has no x.cc by itself, so that no include order ever matters."""
    findings = Findings()
    headers = [p for p in source_files(root) if p.startswith("libhongbao" + os.sep) and p.endswith(".h") and
               not os.path.exists(os.path.join(root, p[:-2] + ".cc"))]

    def compile_one(path):
        command = compiler + ["-std=c++20", "-fsyntax-only", "-I", root, "-x", "c++", "-include", os.path.join(root, path), "-"]
        return subprocess.run(command, input="", capture_output=True, text=True, check=False)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for path, done in zip(headers, pool.map(compile_one, headers)):
            if done.returncode != 0:
                errors = [x for x in done.stderr.split("\n") if "error" in x] or [done.stderr]
                findings.add(path, 1, f"does not compile alone: {errors[0].strip()}")
    return findings, len(headers)


def check_format(root):
    """Whether each C++ file is laid out as .clang-format says. Only by FORMATTER, as each version lays out differently."""
    findings = Findings()
    paths = [path for path in source_files(root) if path.endswith((".h", ".cc"))]
    command = [FORMATTER, "--dry-run", *(os.path.join(root, path) for path in paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for path, line in sorted({(os.path.relpath(path, root), int(line)) for path, line in UNFORMATTED.findall(done.stderr)}):
        findings.add(path, line, f"not laid out as .clang-format says: {FORMATTER} -i {path}")
    return findings, len(paths)


def parse(arguments):
    parser = command_line.Parser(prog="tools/tidy", description="Checks the rules of this source tree that no compiler knows, and "
                                 'prints one "path:line: finding" a line.', epilog="""exit codes:
  0    nothing found
  1    findings
  2    wrong usage""")
    parser.add_argument("--root", metavar="DIR", default=ROOT, help="the source tree to check (default: this one)")
    parser.add_argument("--headers", action="store_true", help="only compile alone each header of libhongbao/ that has no .cc")
    parser.add_argument("--format", action="store_true", help=f"only check the layout of C++ with {FORMATTER}, a package of Debian 12")
    parser.add_argument("--compiler", nargs=argparse.REMAINDER, default=["c++"], metavar="COMMAND", help="last: the compiler and its options")
    return parser.parse_args(arguments)


def main(arguments):
    options, code = command_line.read("tools/tidy", parse, arguments)
    if options is None:
        return code
    root = os.path.abspath(options.root)
    if options.format and shutil.which(FORMATTER) is None:
        streams.say(f"tidy: there is no {FORMATTER}: apt-get install {FORMATTER}")
        return exit_codes.COULD_NOT
    findings, files = (check_headers_alone(root, options.compiler) if options.headers else
                       check_format(root) if options.format else check_tree(root))
    for line in findings.lines:
        print(line)
    streams.say(f"tidy: {files} files, {len(findings.lines) or 'no'} findings")
    return exit_codes.FAULTS_FOUND if findings.lines else exit_codes.DONE
