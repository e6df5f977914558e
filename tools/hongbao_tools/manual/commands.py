"""The commands that have a page: docs/commands/<page>.txt says where the program is and what its --help leaves out."""

import dataclasses
import os
import re
import subprocess
from typing import Dict, List, Optional, Tuple

from ..common.paths import ROOT
from . import help_text

FOLDER = ROOT / "docs" / "commands"
_KEY = re.compile(r"([a-z]+): (.+)$")
_TITLE = re.compile(r"[A-Z][A-Z ]+$")
_TIMEOUT_S = 120


class Wrong(Exception):
    """A prose file or a command that does not do its part; the text says which and why."""


@dataclasses.dataclass
class Prose:
    """One file of docs/commands: `key: value` lines, then sections with a title in capitals."""

    page: str                        # the file's name without .txt
    name: str                        # one line, what it does
    section: int                     # of the manual
    command: Optional[str]           # "tools/simulate", or "server/hongbao-server" in the build folder; None: not a command
    modes: List[str]                 # flags that change all others
    values: Dict[str, List[str]]     # flag -> words to complete that --help does not list as A|B
    see: List[str]                   # "hongbao-client(1)"
    sections: List[Tuple[str, List[str]]]

    @property
    def is_tool(self):
        return self.command is not None and self.command.startswith("tools/") and "/hongbao-" not in self.command

    @property
    def typed(self):
        """As it is typed: "tools/simulate", "hongbao-server"."""
        return self.command if self.is_tool else os.path.basename(self.command)


@dataclasses.dataclass
class Command:
    prose: Prose
    helps: Dict[str, help_text.Help]  # context -> Help: "" is the command itself, else a subcommand or a mode

    @property
    def help(self):
        return self.helps[""]


def read_prose(path):
    """The Prose in a file; Wrong when it lacks something."""
    keys, sections = {"mode": [], "values": []}, []
    for number, line in enumerate(path.read_text(encoding="ascii").split("\n"), 1):
        key = _KEY.match(line)
        if _TITLE.match(line):
            sections.append((line, []))
        elif sections:
            sections[-1][1].append(line)
        elif key and key.group(1) in ("mode", "values"):
            keys[key.group(1)].append(key.group(2))
        elif key and key.group(1) in ("name", "section", "command", "see") and key.group(1) not in keys:
            keys[key.group(1)] = key.group(2)
        elif line:
            raise Wrong(f"{path.name}:{number}: neither 'key: value' nor a title in capitals: {line!r}")
    if "name" not in keys or not sections or sections[0][0] != "DESCRIPTION":
        raise Wrong(f"{path.name}: wants 'name: ...' and a DESCRIPTION")
    values = {words.split()[0]: words.split()[1:] for words in keys["values"]}
    return Prose(path.stem, keys["name"], int(keys.get("section", "1")), keys.get("command"), keys["mode"], values,
                 keys.get("see", "").split(), sections)


def all_prose():
    """All pages, by name."""
    found = [read_prose(path) for path in sorted(FOLDER.glob("*.txt"))]
    for prose in found:  # "@pages": the one list that is not written down a second time
        prose.values = {flag: short_names(found) if words == ["@pages"] else words for flag, words in prose.values.items()}
    return found


def short_names(pages):
    return [prose.page[len("hongbao-"):] for prose in pages]


def _ask(prose, build, words):
    """The --help of a command, or of its subcommand or mode."""
    program = str(ROOT / prose.command) if prose.is_tool else os.path.join(build, prose.command)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "HONGBAO_BUILD_DIR": str(build), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([program, *words, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
                              timeout=_TIMEOUT_S, check=False)
    except OSError as error:
        raise Wrong(f"{program}: {error.strerror}; build it first: ninja -C {build}") from None
    said = " ".join([prose.typed, *words, "--help"])
    if done.returncode != 0 or done.stderr:
        raise Wrong(f"{said} ended with {done.returncode}: {done.stderr.strip()}")
    try:
        return help_text.parse(done.stdout)
    except help_text.NotUnderstood as error:
        raise Wrong(f"{said}: {error}") from None


def read(prose, build):
    """The Command behind a prose file, asked for its help and for that of its subcommands and modes."""
    helps = {"": _ask(prose, build, [])}
    for context in [*(name for name, _ in helps[""].subcommands), *prose.modes]:
        helps[context] = _ask(prose, build, [context])
    for mode in prose.modes:
        if mode not in helps[""].flag_names():
            raise Wrong(f"{prose.page}.txt: mode {mode}, which {prose.typed} --help does not list")
    for flag in prose.values:
        if flag not in helps[""].flag_names() | {place for place, _ in helps[""].places}:
            raise Wrong(f"{prose.page}.txt: values for {flag}, which {prose.typed} --help does not list")
    if not helps[""].exit_codes:
        raise Wrong(f"{prose.typed} --help does not list its exit codes")
    return Command(prose, helps)
