"""The habits that all commands share, one table of them against every command that has a page (docs/commands/): help, version, wrong
flags, names of flags, streams, terminals; then what a signal does to the programs, and what a reader that goes away does not do."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import unittest

import processes
from processes import ANY_SCHEDULE, CLIENT, SERVER, TIMEOUT_S, wait_until

from hongbao_tools.manual import commands, help_text

VERSION = re.search(r"^  version: '(.*)',$", (processes.ROOT / "meson.build").read_text(encoding="utf-8"), re.MULTILINE).group(1)
BUILD = os.environ.get("HONGBAO_BUILD_DIR", str(processes.ROOT / "build"))
COLUMNS = 100
# A flag of one of these names has this short form, in every command.
SHORT = {"--help": "-h", "--quiet": "-q", "--out": "-o", "--dry-run": "-n"}
# Names that another command might give to the same thing.
STRANGERS = {"--silent", "--output", "--dryrun", "--no-rows", "--threads", "--rate", "--time", "--verbose-json"}
ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
PLAIN = ({"TERM": "xterm-256color", "NO_COLOR": "1"}, {"TERM": "dumb"})


def on_a_terminal(command, environment=None, until=None):
    """Runs the command with a terminal for everything. With `until` ends it with Ctrl-C once that has been printed.
    Returns (exit code, all that was printed)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**os.environ, **(environment or {})})
    text = ""
    try:
        while select.select([terminal], [], [], TIMEOUT_S)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            if until and re.search(until, text):
                os.write(terminal, b"\x03")
                until = None
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


class EveryCommandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = [(prose, str(commands.ROOT / prose.command) if prose.is_tool else os.path.join(BUILD, prose.command))
                        for prose in commands.all_prose() if prose.command]
        # (Prose, program, words in front of the flags) for each command, subcommand and mode.
        cls.contexts = []
        for prose, program in cls.commands:
            found = help_text.parse(cls.run_it(cls(), program, "--help")[1])
            cls.contexts += [(prose, program, [context] if context else [])
                             for context in ("", *(name for name, _ in found.subcommands), *prose.modes)]

    def runTest(self):
        """unittest wants one of a class that is made by hand."""

    def run_it(self, program, *flags, environment=None):
        done = subprocess.run([program, *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                              env={**os.environ, "HONGBAO_BUILD_DIR": BUILD, "TERM": "xterm-256color", **(environment or {})})
        for text in (done.stdout, done.stderr):
            self.assertNotRegex(text, "[\x1b\r]", f"{program} {flags}")
        return done.returncode, done.stdout, done.stderr

    def test_help(self):
        for _, program, words in self.contexts:
            code, text, said = self.run_it(program, *words, "--help")
            self.assertEqual((code, said), (0, ""))
            self.assertEqual([line for line in text.split("\n") if len(line) > COLUMNS], [])
            self.assertEqual(self.run_it(program, *words, "-h"), (0, text, ""))
            found = help_text.parse(text)
            names = found.flag_names()
            for name, short in SHORT.items():
                if name in names:
                    self.assertIn(short, names, name)
            self.assertEqual(names & STRANGERS, set())
            if not words:
                codes = [code for code, _ in found.exit_codes]
                self.assertEqual(len(codes), len(set(codes)))
                self.assertLessEqual({0, 1, 2}, set(codes))
                self.assertLessEqual(set(codes), {0, 1, 2, 3, 4, 5, 129, 130, 143})

    def test_help_at_a_terminal(self):
        for prose, program in self.commands:
            for environment in PLAIN:
                with self.subTest(command=prose.typed, environment=environment):
                    code, text = on_a_terminal([program, "--help"], environment)
                    self.assertEqual((code, text.replace("\r\n", "\n")), (0, self.run_it(program, "--help")[1]))

    def test_version(self):
        for prose, program, words in self.contexts:
            self.assertEqual(self.run_it(program, *words, "--version"), (0, f"{prose.typed} {VERSION}\n", ""))

    def test_wrong_flags(self):
        for prose, program, words in self.contexts:
            for wrong in ("--no-such-flag", "--versio"):  # nor a flag cut short
                code, text, said = self.run_it(program, *words, wrong)
                self.assertEqual((code, text), (2, ""), wrong)
                lines = said.splitlines()
                self.assertEqual(len(lines), 2, said)
                self.assertTrue(lines[0].startswith(f"{prose.typed}: ") or lines[0].startswith(f"{prose.typed} "), said)
                self.assertTrue(wrong in lines[0] or "required" in lines[0] or "give either" in lines[0], said)
                self.assertRegex(lines[1], r"^Run '.*--help' for the options\.$")

    def test_help_that_nobody_reads(self):
        for prose, program in self.commands:
            with self.subTest(command=prose.typed):
                reader, writer = os.pipe()
                os.close(reader)
                with os.fdopen(writer, "wb") as pipe:
                    done = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.PIPE, text=True,
                                          timeout=TIMEOUT_S, check=False, env={**os.environ, "HONGBAO_BUILD_DIR": BUILD})
                self.assertNotIn("Traceback", done.stderr)


    def test_output_that_the_disk_does_not_take(self):
        for prose, program, words in self.contexts:
            for flag in ("--help", "--version"):
                with self.subTest(command=prose.typed, words=words, flag=flag), open("/dev/full", "wb") as full:
                    done = subprocess.run([program, *words, flag], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
                                          timeout=TIMEOUT_S, check=False, env={**os.environ, "HONGBAO_BUILD_DIR": BUILD})
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertRegex(done.stderr, "No space left on device|I/O error")  # the second is a shell's word for it
                    self.assertNotIn("Traceback", done.stderr)


class OutputsTest(processes.EndToEndTest):
    """Where what a program writes goes to, and what becomes of a success when it does not arrive."""

    FREE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")

    def client_to(self, output, *flags):
        server = self.server()
        done = subprocess.run([CLIENT, "--server", f"127.0.0.1:{server.port}", "--admin", "127.0.0.1:0", "--users", "20", "--qps", "40",
                               "--duration", "2s", "--workers", "1", *flags], stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
        server.stop()
        return done

    def test_rows_and_results_that_the_disk_does_not_take(self):
        for flags in ((), ("--json",), ("--quiet",), ("--quiet", "--report", "-")):
            with self.subTest(flags=flags), open("/dev/full", "wb") as full:
                done = self.client_to(full, *flags)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(done.stderr.count("No space left on device"), 1, done.stderr)

    def test_rows_of_a_server_and_an_audit_that_the_disk_does_not_take(self):
        ledger = "sqlite:" + os.path.join(self.folder, "full.ledger")
        with open("/dev/full", "wb") as full:
            server = subprocess.Popen([SERVER, *self.FREE, "--ledger", ledger], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
            self.addCleanup(server.kill)
            for line in server.stderr:
                if "No space left" in line:  # it goes on serving, and says it once
                    break
            server.terminate()
            self.assertEqual((server.wait(TIMEOUT_S), server.stderr.read().count("No space left")), (1, 0))
            server.stderr.close()
            done = subprocess.run([SERVER, "--audit-only", "--ledger", ledger], stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S,
                                  check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("No space left", done.stderr)

    def test_a_dash_is_stdout(self):
        done = self.client_to(subprocess.PIPE, "--quiet", "--json", "--report", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        last_line, report = done.stdout.split("\n", 1)
        self.assertEqual(json.loads(report)["requests"], json.loads(last_line)["requests"])
        self.assertFalse(os.path.exists("-"))
        for flags in (("--money-log", "-"),):
            done = self.client_to(subprocess.PIPE, *flags)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("stdout", done.stderr)
        self.assertEqual(processes.run(SERVER, "--ledger", "sqlite:-")[0], 2)

    def test_a_link_stays_and_its_target_is_written(self):
        target, link = os.path.join(self.folder, "target.json"), os.path.join(self.folder, "link.json")
        os.symlink("target.json", link)
        for _ in range(2):  # the target is not there, and there
            done = self.client_to(subprocess.PIPE, "--quiet", "--report", link)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(os.path.islink(link))
            self.assertTrue(json.loads(pathlib.Path(target).read_text(encoding="utf-8"))["requests"]["sent"] > 0)
        os.chmod(target, 0o600)
        self.client_to(subprocess.PIPE, "--quiet", "--report", link)
        self.assertEqual(os.stat(target).st_mode & 0o777, 0o600)


class StartsThatWaitTest(processes.EndToEndTest):
    """A start that waits for somebody ends at a signal as any other, and so does an end that does."""

    def check_ends(self, command, until=None):
        for number, code in ENDINGS.items():
            with self.subTest(command=command[1:], signal=number.name):
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.addCleanup(process.kill)
                if until:
                    until(process)
                else:  # until the signal is one that it waits for: it sleeps in the opening of a pipe
                    wait_until(lambda: self.blocks(process.pid, number), "it blocks the signal")
                process.send_signal(number)
                self.assertEqual(process.wait(TIMEOUT_S), code)
                process.stdout.close()
                process.stderr.close()

    @staticmethod
    def blocks(pid, number):
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(re.search(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE).group(1), 16) >> (number - 1) & 1

    def test_flags_and_tokens_out_of_a_pipe_that_nobody_writes(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        for program, flags in ((SERVER, ("--flags-file", fifo)), (SERVER, ("--gateway-token-file", fifo)), (CLIENT, ("--flags-file", fifo))):
            self.check_ends([program, *flags])

    def test_a_report_into_a_pipe_that_nobody_reads(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        server = processes.Process(SERVER, ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet", "--report", fifo], self.folder, "piped")
        self.addCleanup(server.kill)
        server.wait_ready()
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in server.log(), "it drains")
        code = None
        while code is None:  # the first one that comes when it has drained, or before that
            server.send_signal(signal.SIGINT)
            try:
                code = server.process.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        self.assertEqual(code, 143)


class ProgramsTest(processes.EndToEndTest):
    """Server and client, which run."""

    def pair(self):
        server = self.server()
        client = self.client(server, "--users", 60, "--qps", 300)
        self.connected(client)
        client.wait_status(lambda page: page["requests"]["answered"] > 0, "it has answers")
        return server, client

    def test_signals_end_a_client_with_a_partial_report(self):
        for number, code in ENDINGS.items():
            with self.subTest(signal=number.name):
                server, client = self.pair()
                report = client.stop(number, code=code)
                self.assertTrue(report["interrupted"])
                self.assertEqual(report["verdict"], "pass")
                server.stop()

    def test_signals_drain_a_server(self):
        for number in ENDINGS:
            with self.subTest(signal=number.name):
                server = self.server()
                server.send_signal(number)
                self.assertEqual(server.finish()["verdict"], "pass")

    def test_a_second_signal_ends_a_client_that_waits(self):
        """For answers of a server that has stopped in its tracks."""
        server, client = self.pair()
        server.send_signal(signal.SIGSTOP)
        try:
            client.wait_status(lambda page: page["requests"]["outstanding"] > 0, "answers are owed")
            client.send_signal(signal.SIGINT)
            wait_until(lambda: "Ctrl-C again" in client.log(), "it says so at once")
            client.send_signal(signal.SIGINT)
            self.assertEqual(client.exit_code(), 130)
            self.assertTrue(client.report()["interrupted"])
        finally:
            server.send_signal(signal.SIGCONT)
        server.stop()

    def test_a_status_on_request(self):
        server, client = self.pair()
        for process in (server, client):
            before = len(process.log())
            process.send_signal(signal.SIGUSR1)
            wait_until(lambda p=process, b=before: "\n}" in p.log()[b:], "it prints a status")
            self.assertIn("requests", json.loads(process.log()[before:]))
            self.assertEqual(process.rows(), "")  # on stderr, not among the rows
            process.status()
        client.stop(code=143)
        server.stop()

    def test_where_a_flag_comes_from(self):
        """Command line, then environment, then the file, then the default; each beats all that follow."""
        path = os.path.join(self.folder, "server.flags")
        pathlib.Path(path).write_text("# of this machine\n--users-max 2k\n--max-qps = 70\n--quiet\n", encoding="ascii")
        flags, variables = ["--flags-file", path], {"HONGBAO_SERVER_USERS_MAX": "3k"}
        for number, (given, environment, users) in enumerate((([], {}, 1_000_000), (flags, {}, 2_000), (flags, variables, 3_000),
                                                              ([*flags, "--users-max", "4k"], variables, 4_000),
                                                              ([], {**variables, "HONGBAO_SERVER_FLAGS_FILE": path}, 3_000))):
            with self.subTest(given=given, environment=environment):
                server = processes.Process(SERVER, ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *given], self.folder,
                                           f"flags{number}", environment)
                self.addCleanup(server.kill)
                self.assertEqual(server.wait_ready().status()["users"]["max"], users)
                server.stop()
        links = {"HONGBAO_SERVER_SERVICE_HOST": "10.0.0.1", "HONGBAO_SERVER_SERVICE_PORT": "1025", "HONGBAO_SERVER_SERVICE_PORT_GAME": "1025",
                 "HONGBAO_SERVER_PORT": "tcp://10.0.0.1:1025", "HONGBAO_SERVER_PORT_1025_TCP": "tcp://10.0.0.1:1025",
                 "HONGBAO_SERVER_PORT_1025_TCP_PROTO": "tcp", "HONGBAO_SERVER_PORT_1025_TCP_PORT": "1025",
                 "HONGBAO_SERVER_PORT_1025_TCP_ADDR": "10.0.0.1"}
        server = self.server(environment=links)
        said = [line for line in server.log().splitlines() if "HONGBAO_SERVER_" in line]
        self.assertEqual(len(said), 1, said)
        self.assertTrue(all(name in said[0] for name in links))
        server.stop()
        self.assertEqual(processes.run(SERVER, environment={"HONGBAO_SERVER_PORTS": "1025"})[0], 2)
        pathlib.Path(path).write_text("\n--users 5\n", encoding="ascii")
        for program in (SERVER, CLIENT):
            code, text, said = processes.run(program, "--flags-file", path, environment={"HONGBAO_CLIENT_WORKER": "1"})
            self.assertEqual((code, text), (2, ""))
            self.assertIn(f"{path}:2: '--users'" if program == SERVER else "HONGBAO_CLIENT_WORKER is no flag", said)

    def test_workers_by_what_the_process_may_use(self):
        processors = os.sched_getaffinity(0)
        if len(processors) < 2:
            self.skipTest("there is one processor")
        command = ["taskset", "-c", str(min(processors)), SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet"]
        server = processes.Process(command[0], command[1:], self.folder, "one")
        self.addCleanup(server.kill)
        server.wait_ready()
        self.assertRegex(server.log(), r"\b1 worker \(affinity 1 of \d+\)")
        server.stop()

    def test_nohup(self):
        server = processes.Process("/usr/bin/env", ["nohup", SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet"],
                                   self.folder, "nohup")
        self.addCleanup(server.kill)
        server.wait_ready()
        server.send_signal(signal.SIGHUP)
        server.send_signal(signal.SIGUSR1)  # handled after it, had it been heeded
        wait_until(lambda: "\n}" in server.log(), "it goes on")
        self.assertFalse(server.status()["draining"])
        server.stop()

    def test_a_terminal_that_goes_away(self):
        """The server of a closed window reconciles its money, and says in its report that it does."""
        report = os.path.join(self.folder, "window.json")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(SERVER, [SERVER, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--report", report])
        text = ""
        while "ready: listening" not in text:
            self.assertTrue(select.select([terminal], [], [], TIMEOUT_S)[0], text)
            text += os.read(terminal, 4096).decode()
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(json.loads(pathlib.Path(report).read_text(encoding="utf-8"))["verdict"], "pass")

    def test_rows_at_a_terminal(self):
        server = self.server()
        flags = ["--server", f"127.0.0.1:{server.port}", "--users", "20", "--qps", "40", "--admin", "127.0.0.1:0"]
        for environment in (*PLAIN, {"TERM": "xterm-256color"}):
            with self.subTest(environment=environment):
                code, text = on_a_terminal([CLIENT, *flags], environment, until=r"\d\d:\d\d:\d\d")
                self.assertEqual(code, 130, text)
                self.assertNotRegex(text.replace("\r\n", "\n").replace("^C", ""), "[\x1b\r]")
                self.assertIn("(interrupted)", text)
        server.stop()

    def test_a_reader_that_goes_away(self):
        """`| head -1` ends the rows, not the run."""
        server = self.server()
        report = os.path.join(self.folder, "head.json")
        client = subprocess.Popen([CLIENT, "--server", f"127.0.0.1:{server.port}", "--users", "20", "--qps", "40", "--duration", "3s",
                                   "--admin", "127.0.0.1:0", "--report", report, "--fail-if", ANY_SCHEDULE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(client.kill)
        self.assertTrue(client.stdout.readline())
        client.stdout.close()
        self.assertEqual(client.wait(TIMEOUT_S), 0)
        document = json.loads(pathlib.Path(report).read_text(encoding="utf-8"))
        self.assertEqual((document["verdict"], document["interrupted"]), ("pass", False))
        server.stop()

    def test_closed_streams(self):
        """The report and the money log are not what rows are printed into, though their file could get the number 1."""
        server = self.server()
        report, money = (os.path.join(self.folder, name) for name in ("closed.json", "closed.csv"))
        done = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", CLIENT, "--server", f"127.0.0.1:{server.port}", "--users", "20",
                               "--qps", "40", "--duration", "2s", "--admin", "127.0.0.1:0", "--report", report, "--money-log", money,
                               "--fail-if", ANY_SCHEDULE],
                              timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(pathlib.Path(report).read_text(encoding="utf-8"))["verdict"], "pass")
        self.assertEqual(pathlib.Path(money).read_text(encoding="ascii"), "kind,user,stamp,envelope,fen\n")
        server.stop()


class SimulateTest(processes.EndToEndTest):
    """tools/simulate, as a terminal or a pipe sees it. The rest of it is in tests/tools/simulate_end_to_end_test.py."""

    def start(self, *flags):
        self.out, self.said = os.path.join(self.folder, "run"), os.path.join(self.folder, "said")
        with open(self.said, "wb") as said:
            run = subprocess.Popen([processes.ROOT / "tools/simulate", "--users", "20", "--gift-rate", "0", "--out", self.out, *flags],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
                                   env={**os.environ, "HONGBAO_BUILD_DIR": BUILD, "TERM": "xterm-256color"})
        self.addCleanup(run.kill)
        self.addCleanup(run.stdout.close)
        return run

    def check(self, code, *codes):
        said = pathlib.Path(self.said).read_text(encoding="utf-8")
        self.assertIn(code, codes, said)
        self.assertNotIn("Traceback", said)
        self.assertNotRegex(said, "[\x1b\r]")
        report = json.loads(pathlib.Path(self.out, "report.json").read_text(encoding="utf-8"))
        self.assertTrue(all(report["identities"].values()) if isinstance(report["identities"], dict) else report["identities"])
        return report

    def test_a_reader_that_goes_away(self):
        run = self.start("--phases", "20:3s")
        self.assertTrue(run.stdout.readline())
        run.stdout.close()
        self.assertFalse(self.check(run.wait(TIMEOUT_S), 0, 1)["interrupted"])  # 1: too busy a machine for the rate

    def test_a_terminal_that_goes_away(self):
        run = self.start("--phases", "20:1h")
        for _ in range(3):  # the header and two seconds
            line = run.stdout.readline()
            self.assertTrue(line, pathlib.Path(self.said).read_text(encoding="utf-8"))
            self.assertNotRegex(line.decode(), "[\x1b\r]")
        run.send_signal(signal.SIGHUP)
        self.assertTrue(self.check(run.wait(TIMEOUT_S), 129)["interrupted"])


if __name__ == "__main__":
    processes.main()
