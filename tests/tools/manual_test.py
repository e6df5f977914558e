"""tools/manual: a --help is read back whole or refused; each command has a page; pages and completion know the flags of --help and no
others; pages render without a warning; bash completes for real. With the programs of this build, and what the build has made of them."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from hongbao_tools.common import exit_codes
from hongbao_tools.common.version import VERSION
from hongbao_tools.manual import commands, completion, help_text, roff

BUILD = os.environ["HONGBAO_BUILD_DIR"]
MADE = pathlib.Path(BUILD, "docs")
OUTPUTS = os.environ["HONGBAO_MANUAL_OUTPUTS"].split()
ROOT = commands.ROOT
TIMEOUT_S = 60
HELP = """prog: does it.

usage: prog [FLAGS] PATH

positional arguments:
  PATH  where

options:
  -q, --quiet            no rows
  --rate-of-things N|max
                         how many,
                         or as many as it goes (default 5)

tuning:
  --pin N                a processor

noise, in percent:
  as=it
    is

exit codes:
  0    done
  130  interrupted
"""


class HelpTextTest(unittest.TestCase):
    def test_everything_is_read(self):
        found = help_text.parse(HELP)
        self.assertEqual(found.usage, "prog [FLAGS] PATH")
        self.assertEqual(found.description, ["prog: does it."])
        self.assertEqual(found.places, [("PATH", "where")])
        self.assertEqual([(flag.names, flag.value, flag.text, flag.group) for flag in found.flags],
                         [(["-q", "--quiet"], "", "no rows", "options"),
                          (["--rate-of-things"], "N|max", "how many, or as many as it goes (default 5)", "options"),
                          (["--pin"], "N", "a processor", "tuning")])
        self.assertEqual(found.verbatim, {"noise, in percent": ["  as=it", "    is"]})
        self.assertEqual(found.exit_codes, [(0, "done"), (130, "interrupted")])

    def test_what_cannot_be_read_is_refused(self):
        for before, after, says in (("  -q, --quiet  ", " -q, --quiet  ", "neither an entry"), ("--pin", "--Pin", "kebab-case"),
                                    ("--pin", "--pin_it", "kebab-case"), ("a processor", "", "not explained"),
                                    ("usage: ", "", "no usage")):
            with self.assertRaisesRegex(help_text.NotUnderstood, says):
                help_text.parse(HELP.replace(before, after))


class RoffTest(unittest.TestCase):
    def test_nothing_is_taken_for_a_request(self):
        self.assertEqual(roff.escape(".so 'x' \\ -1"), "\\&.so \\(aqx\\(aq \\e \\-1")
        self.assertEqual(roff.marked_up("see `a b` and --pin, not x--y"), "see \\fBa b\\fR and \\fB\\-\\-pin\\fR, not x\\-\\-y")
        wrapped = roff.marked_up("word " * 15 + "..... .PP .TH")
        self.assertFalse([line for line in wrapped.split("\n") if line.startswith(".")], wrapped)

    def test_prose(self):
        self.assertEqual(roff.prose(["One", "two.", "", "TERM :: what", "  more", "OTHER :: x", "", "    as it", "    is"]),
                         [".PP", "One two.", ".TP", "\\fBTERM\\fR", "what more", ".TP", "\\fBOTHER\\fR", "x",
                          ".PP", ".nf", ".RS 4", "as it", "is", ".RE", ".fi"])


class CompletionTest(unittest.TestCase):
    def test_values(self):
        for metavar, expected in (("N", []), ("HOST:PORT", []), ("1|2", ["1", "2"]), ("FILE", ["file"]), ("DIR", ["folder"]),
                                  ("N|max", ["max"]), ("sqlite:FILE|none", ["sqlite:file", "none"]), ("[NAME=]QPS:TIME,...", []), ("...", [])):
            self.assertEqual(completion.values_of(metavar), expected, metavar)


class PagesTest(unittest.TestCase):
    """What lies in the build folder, against what the commands say."""

    @classmethod
    def setUpClass(cls):
        cls.prose = commands.all_prose()
        cls.commands = [commands.read(prose, BUILD) for prose in cls.prose if prose.command]
        cls.flags = {name for command in cls.commands for found in command.helps.values() for name in found.flag_names()}

    def page(self, prose):
        return (MADE / f"{prose.page}.{prose.section}").read_text(encoding="ascii")

    def test_the_build_makes_all_of_them(self):
        self.assertEqual(OUTPUTS, [f"{prose.page}.{prose.section}" for prose in self.prose], "docs/meson.build against docs/commands/")

    def test_every_command_has_a_page(self):
        """Every tool, and every program of the build that is called hongbao-something. See docs/commands/hongbao-manual.txt."""
        tools = {f"tools/{path.name}" for path in (ROOT / "tools").iterdir() if path.is_file() and os.access(path, os.X_OK)}
        programs = {path.name for folder in ("server", "client", "tools/[a-z]*") for path in pathlib.Path(BUILD).glob(f"{folder}/hongbao-*")
                    if path.is_file() and os.access(path, os.X_OK) and path.parent.name != "conns_program"}
        self.assertLessEqual({"hongbao-server", "hongbao-client"}, programs)
        self.assertEqual({command.prose.typed for command in self.commands}, tools | programs)

    def test_each_page_knows_the_flags_of_help_and_no_others(self):
        for command in self.commands:
            page = self.page(command.prose)
            told = set()
            for line in re.findall(r"^\.TP\n(\\fB\\-.*)$", page, re.MULTILINE):
                told |= {name.replace("\\-", "-") for name in re.findall(r"\\fB(\\-.*?)\\fR", line)}
            asked = {name for found in command.helps.values() for name in found.flag_names()}
            self.assertEqual(told, asked, command.prose.page)
            listed = re.search(r'^\.SH "EXIT STATUS"\n(.*?)(?=^\.SH|\Z)', page, re.MULTILINE | re.DOTALL).group(1)
            self.assertEqual([int(code) for code in re.findall(r"\\fB(\d+)\\fR", listed)], [code for code, _ in command.help.exit_codes])

    def test_prose_names_no_flag_that_is_not_there(self):
        for prose in self.prose:
            for title, lines in prose.sections:
                for name in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", "\n".join(lines)):
                    self.assertIn(name, self.flags, f"{prose.page}.txt, {title}")

    def test_see_also_leads_somewhere(self):
        pages = {f"{prose.page}({prose.section})" for prose in self.prose}
        for prose in self.prose:
            self.assertTrue(prose.see, prose.page)
            self.assertLessEqual(set(prose.see) - {f"{prose.page}({prose.section})"}, pages, prose.page)

    def test_it_renders_without_a_warning(self):
        checkers = {"man": ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"], "groff": ["groff", "-man", "-ww", "-z"],
                    "mandoc": ["mandoc", "-T", "lint", "-W", "warning"]}
        here = {name: command for name, command in checkers.items() if shutil.which(name)}
        if not here:
            self.skipTest("neither man nor groff nor mandoc is here")
        for prose in self.prose:
            for name, command in here.items():
                done = subprocess.run([*command, str(MADE / f"{prose.page}.{prose.section}")], capture_output=True, text=True,
                                      errors="replace", timeout=TIMEOUT_S, check=False)
                said = [line for line in done.stderr.split("\n") + (done.stdout.split("\n") if name == "mandoc" else [])
                        if line.strip() and "missing date" not in line]  # a date would change the page with each build
                self.assertEqual(said, [], f"{name} {prose.page}")

    def test_exit_codes_are_those_of_the_code(self):
        """Of the tools in Python; those of the C++ programs are provoked in end_to_end/habits."""
        for command in self.commands:
            if not command.prose.is_tool:
                continue
            base = command.prose.command.rpartition("/")[2]
            texts = [path.read_text(encoding="utf-8") for path in ROOT.glob(f"tools/hongbao_tools/{base}/*.py")]
            found = {getattr(exit_codes, name) for text in texts for name in re.findall(r"\bexit_codes\.([A-Z_]+)", text)}
            self.assertLessEqual(found, {code for code, _ in command.help.exit_codes}, base)
            self.assertLessEqual({0, 2}, {code for code, _ in command.help.exit_codes}, base)

    def test_what_the_page_lacks_stops_the_build(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.txt")
            for text, says in (("name: x\n", "DESCRIPTION"), ("DESCRIPTION\nx\n", "name"), ("nonsense\n", "x.txt:1"),
                               ("name: x\nname: y\nDESCRIPTION\nx\n", "x.txt:2")):
                path.write_text(text, encoding="ascii")
                with self.assertRaisesRegex(commands.Wrong, says):
                    commands.read_prose(path)


class BashTest(unittest.TestCase):
    """The completion in the build folder, sourced by a real bash."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("bash"):
            raise unittest.SkipTest("no bash here")
        cls.commands = [commands.read(prose, BUILD) for prose in commands.all_prose() if prose.command]

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hongbao-completion-")
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("money.ledger", "money.token"):
            pathlib.Path(self.folder, name).touch()
        os.mkdir(os.path.join(self.folder, "moneybag"))

    def complete(self, *lines):
        """What bash offers at the end of each line; a line is its words as bash parts them."""
        script = [f". '{MADE / 'hongbao'}'", f"cd '{self.folder}'"]
        for words in lines:
            quoted = " ".join("'" + word + "'" for word in words)
            script.append(f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _hongbao; echo \"${{COMPREPLY[*]}}\"")
        done = subprocess.run(["bash", "--norc", "--noprofile", "-c", "\n".join(script)], capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [sorted(line.split()) for line in done.stdout.split("\n")[:-1]]

    def test_flags_of_every_command(self):
        asked, expected = [], []
        for command in self.commands:
            for context, found in command.helps.items():
                asked.append([command.prose.typed, *([context] if context else []), "-"])
                expected.append(sorted(found.flag_names()))
        for words, offered, flags in zip(asked, self.complete(*asked), expected):
            self.assertEqual(offered, flags, words)

    def test_values(self):
        for words, offered in (
                (["hongbao-client", "--protocol", ""], ["1", "2"]), (["hongbao-client", "--protocol", "="], ["1", "2"]),
                (["hongbao-client", "--protocol", "=", "2"], ["2"]), (["hongbao-client", "--qps", ""], ["max"]),
                (["hongbao-client", "--users", ""], []), (["hongbao-client", "--quiet", "--qp"], ["--qps"]),
                (["hongbao-server", "--ledger", ""], ["none", "sqlite:"]), (["hongbao-server", "--ledger", "s"], ["sqlite:"]),
                (["hongbao-server", "--ledger", "sqlite", ":"], ["money.ledger", "money.token", "moneybag"]),
                (["hongbao-server", "--ledger", "sqlite", ":", "money.l"], ["money.ledger"]),
                (["hongbao-server", "--ledger", "=", "sqlite", ":", "money.l"], ["money.ledger"]),
                (["hongbao-server", "--listen", "127.0.0.1", ":", ""], []),
                (["hongbao-server", "--report", "money"], ["money.ledger", "money.token", "moneybag"]),
                (["hongbao-server", "--report", "=", "money.t"], ["money.token"]),
                (["tools/simulate", "--out", ""], ["moneybag"]), (["./tools/simulate", "--out", ""], ["moneybag"]),
                (["simulate", "--ten-billion", "--no-a"], ["--no-audit"]), (["tools/simulate", "--no-a"], []),
                (["tools/bench", "co"], ["compare"]), (["tools/bench", "compare", "money.l"], ["money.ledger"]),
                (["tools/audit", "money.l"], ["money.ledger"]), (["tools/manual", "simul"], ["simulate"])):
            with self.subTest(words=words):
                self.assertEqual(self.complete(words), [offered])

    def test_each_command_is_registered(self):
        done = subprocess.run(["bash", "--norc", "--noprofile", "-c", f". '{MADE / 'hongbao'}'; complete -p"], capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=True)
        for command in self.commands:
            self.assertIn(f"complete -F _hongbao {command.prose.typed}\n", done.stdout)
        self.assertNotIn("_hongbao test\n", done.stdout)  # the shell's own

    def test_at_a_terminal(self):
        """Tab, pressed: readline asks bash, bash asks us."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"})
        try:
            for typed, shown in ((f". '{MADE / 'hongbao'}'; echo so''urced\n", "sourced"), ("tools/simulate --ten-b\t", "--ten-billion "),
                                 ("\x15hongbao-server --ledger=sqlite:money.l\t", "sqlite:money.ledger "),
                                 ("\x15hongbao-client --protoc\t", "--protocol ")):
                os.write(terminal, typed.encode())
                self.assertIn(shown, self.until(terminal, shown))
        finally:
            os.write(terminal, b"\x15exit\n")
            self.until(terminal, None)
            os.close(terminal)
            os.waitpid(pid, 0)

    def until(self, terminal, shown):
        """What the terminal says until it has shown that (None: to its end)."""
        text, deadline = "", time.monotonic() + TIMEOUT_S
        while (shown is None or shown not in text) and select.select([terminal], [], [], max(deadline - time.monotonic(), 0))[0]:
            try:
                text += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # Linux's way to say that the other side has closed
                break
        return text


class ToolTest(unittest.TestCase):
    def run_it(self, *arguments):
        done = subprocess.run([ROOT / "tools/manual", "--build", BUILD, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                              env={**os.environ, "MANPAGER": "cat", "PAGER": "cat"})
        return done.returncode, done.stdout, done.stderr

    def test_usage(self):
        self.assertEqual(self.run_it("--version"), (0, f"tools/manual {VERSION}\n", ""))
        self.assertEqual(self.run_it()[0], 2)
        self.assertEqual(self.run_it("server", "--out", "x")[0], 2)

    def test_shows_a_page(self):
        code, _, said = self.run_it("no-such-page")
        self.assertEqual(code, 1)
        self.assertIn("simulate", said)
        if shutil.which("man"):
            code, page, _ = self.run_it("kill_loop")
            self.assertEqual(code, 0)
            self.assertIn("tools/kill_loop", page)

    def test_ctrl_c_is_the_pagers(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "man").write_text("#!/bin/sh\nkill -INT $PPID\nsleep 1\necho shown\n", encoding="ascii")
            os.chmod(pathlib.Path(folder, "man"), 0o755)
            done = subprocess.run([ROOT / "tools/manual", "--build", BUILD, "profile"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                                  env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "shown\n", ""))

    def test_a_program_that_is_not_built(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([ROOT / "tools/manual", "--build", folder, "--out", folder], capture_output=True, text=True, timeout=TIMEOUT_S,
                                  check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("build it first", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
