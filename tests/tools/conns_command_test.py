"""tools/conns as a command: help, version, wrong usage, counts of this process's own connections, JSON, a reader that leaves."""

import json
import os
import signal
import socket
import subprocess
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "conns")


def run(*arguments, **settings):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False, timeout=60, **settings)


class ConnsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        cls.port = str(cls.listener.getsockname()[1])
        cls.open = []
        for source in ("127.0.0.5", "127.0.0.6", "127.0.0.6"):
            cls.open.append(socket.create_connection(("127.0.0.1", int(cls.port)), source_address=(source, 0)))
            cls.open.append(cls.listener.accept()[0])

    @classmethod
    def tearDownClass(cls):
        for each in [*cls.open, cls.listener]:
            each.close()

    def test_counts_by_port(self):
        done = run("--port", self.port, "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([" ".join(line.split()) for line in done.stdout.splitlines()],
                         [f"port {self.port} 3 established from 2 peers", "total 3 established on 1 port"])

    def test_counts_by_peer_and_by_both_in_json(self):
        document = json.loads(run("--port", self.port, "--by", "peer", "--json").stdout)
        self.assertEqual((document["connections"], document["groups"], document["state"]), (3, 2, "established"))
        self.assertEqual(document["rows"], [{"peer": "127.0.0.6", "connections": 2, "ports": 1}, {"peer": "127.0.0.5", "connections": 1, "ports": 1}])
        document = json.loads(run("--port", self.port, "--by", "both", "--top", "1", "--json").stdout)
        self.assertEqual(document["rows"], [{"port": int(self.port), "peer": "127.0.0.6", "connections": 2}])

    def test_other_states_are_others(self):
        document = json.loads(run("--port", self.port, "--state", "listen", "--json").stdout)
        self.assertEqual((document["connections"], document["state"]), (1, "listen"))
        self.assertEqual(json.loads(run("--port", self.port, "-6", "--json").stdout)["connections"], 0)
        self.assertEqual(json.loads(run("--port", self.port, "-4", "--json").stdout)["connections"], 3)

    def test_help_and_version(self):
        for flag, word in (("--help", "--watch"), ("-h", "exit codes"), ("--version", "tools/conns 0.")):
            done = run(flag)
            self.assertEqual(done.returncode, 0)
            self.assertIn(word, done.stdout)

    def test_wrong_usage(self):
        for arguments, reason in ((["--port", "0"], "'0' is no port"), (["--by", "name"], "--by"), (["--state", "open"], "no state of TCP"),
                                  (["--nope"], "--nope"), (["stray"], "stray"), (["--watch", "1"], "--watch"), (["--watch", "1ms"], "100ms"),
                                  (["--top", "-1"], "--top")):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(reason, done.stderr)
            self.assertIn("tools/conns --help", done.stderr)

    def test_another_namespace_that_is_not_there(self):
        done = run("--netns", "999999999")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is that process running?", done.stderr)

    def test_watching_ends_in_order_with_ctrl_c(self):
        with subprocess.Popen([TOOL, "--port", self.port, "--watch", "100ms", "--json"], stdout=subprocess.PIPE, text=True) as watching:
            documents = [json.loads(watching.stdout.readline()) for _ in range(3)]
            watching.send_signal(signal.SIGINT)
            watching.stdout.read()
            self.assertEqual(watching.wait(timeout=60), 0)
        self.assertEqual([d["connections"] for d in documents], [3, 3, 3])

    def test_a_reader_that_leaves_is_no_error(self):
        with subprocess.Popen([TOOL, "--port", self.port, "--watch", "100ms"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            watching.stdout.readline()
            watching.stdout.close()
            self.assertEqual(watching.wait(timeout=60), 0)
            self.assertEqual(watching.stderr.read(), "")

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([TOOL, "--port", self.port], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)


if __name__ == "__main__":
    unittest.main()
