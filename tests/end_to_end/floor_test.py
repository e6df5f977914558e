"""The servers of benchmarks/end_to_end: to a client they look as hongbao-server does to users who win nothing, and they end well."""

import os
import re
import resource
import signal
import subprocess
import time
import unittest

import processes
import wire

SERVERS = {name: os.environ.get(f"HONGBAO_{name.upper()}_SERVER", str(processes.ROOT / f"build/benchmarks/end_to_end/{name}_server"))
           for name in ("floor", "epoll")}
LISTENING = re.compile(r"^listening on 127\.0\.0\.1:(\d+), (.*)$")
PIPELINED = 140  # 2,240 bytes of requests, 3,920 of replies


def die_with_us(open_files):
    def prepare():
        processes.die_with_parent()
        if open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    return prepare


class FloorTest(processes.EndToEndTest):
    def start(self, name, *flags, open_files=None):
        """(process, TCP port, what it says of its plan)."""
        process = subprocess.Popen([SERVERS[name], *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=die_with_us(open_files))
        self.addCleanup(self.end, process)
        line = process.stdout.readline()
        if not line and process.wait(processes.TIMEOUT_S) == 1:
            said = process.stderr.read()
            if "needs direct descriptors" in said:
                self.skipTest(said.strip())
        match = LISTENING.match(line)
        self.assertIsNotNone(match, f"{name} said {line!r}")
        return process, int(match.group(1)), match.group(2)

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        self.assertEqual(process.wait(processes.TIMEOUT_S), 0, process.stderr.read())
        self.assertRegex(process.stdout.read(), r"^cpu: user \d+\.\d{3} s, system \d+\.\d{3} s\n$")
        self.assertEqual(process.stderr.read(), "")

    def test_the_bytes_are_those_of_hongbao_server(self):
        """To a login the same but for the clock, to a shake the very same."""
        answers = {}
        servers = {name: self.start(name)[1] for name in SERVERS}
        for name, port in {**servers, "hongbao": self.server().port}.items():
            with wire.Peer(port) as peer:
                peer.write(wire.login(2, 7, 1_000))
                login = peer.read_bytes()
                peer.write(wire.frame(wire.SHAKE, 1_001, 7))
                answers[name] = (login[:20], len(login), login[28:], peer.read_bytes())
        for name in SERVERS:
            self.assertEqual(answers[name], answers["hongbao"], name)

    def test_frames_cut_and_joined(self):
        for name in SERVERS:
            with self.subTest(server=name):
                process, port, _ = self.start(name)
                login, shake = wire.login(2, 7, 1_000), wire.frame(wire.SHAKE, 5, 7)
                for cut in range(1, len(login), 3):
                    with wire.Peer(port) as peer:
                        peer.write(login[:cut])
                        time.sleep(0.002)  # lets the pieces arrive apart; joined ones would be served as well
                        peer.write(login[cut:])
                        self.assertEqual(peer.expect(wire.Login)[:3], (1_000, 7, 0))
                with wire.Peer(port, user=7) as peer:
                    for cut in range(1, len(shake)):
                        for piece in (shake[:cut], shake[cut:] + shake[:cut], shake[cut:]):
                            peer.write(piece)
                            time.sleep(0.002)
                        for _ in range(2):
                            self.assertEqual(peer.expect(wire.Shake), (5, 7, wire.NOTHING, 0, 0))
                    peer.write(b"".join(wire.frame(wire.SHAKE, stamp, 7) for stamp in range(PIPELINED)) + shake[:7])
                    self.assertEqual([peer.expect(wire.Shake).stamp for _ in range(PIPELINED)], list(range(PIPELINED)))
                    peer.write(shake[7:])
                    self.assertEqual(peer.expect(wire.Shake).stamp, 5)
                self.stop(process)

    def test_ends_of_connections(self):
        for name in SERVERS:
            with self.subTest(server=name):
                process, port, _ = self.start(name)
                stays = wire.Peer(port, user=1)
                for user in range(2, 40):
                    peer = wire.Peer(port, user=user)
                    if user % 4 == 0:
                        peer.reset()
                    elif user % 4 == 1:
                        peer.write(b"\x01\x01nonsense")
                        self.assertEqual(peer.wait_closed(), [])
                    elif user % 4 == 2:
                        peer.send_shake()
                        peer.socket.shutdown(1)  # what it has asked for is still answered
                        self.assertEqual(len(peer.wait_closed()), 1)
                    else:
                        peer.write(b"\x00")  # the start of a frame
                    peer.close()
                    self.assertEqual(stays.shake().result, wire.NOTHING)
                self.stop(process)
                self.assertEqual(stays.wait_closed(), [])
                stays.close()

    def test_more_connections_than_a_table_or_a_process_holds(self):
        """As with a hard limit of 200 open files."""
        for name, plan in (("floor", "2 workers, 6 rings of 200 slots"), ("epoll", "9 processes of 1 threads")):
            with self.subTest(server=name):
                process, port, said = self.start(name, "--connections-max", "1k", "--workers", "2", open_files=200)
                self.assertEqual(said, plan)
                peers = [wire.Peer(port, user=user) for user in range(300)]
                for peer in peers:
                    peer.send_shake()
                for peer in peers:
                    self.assertEqual(peer.expect(wire.Shake).result, wire.NOTHING)
                self.stop(process, signal.SIGINT)
                for peer in peers:
                    self.assertEqual(peer.wait_closed(), [])
                    peer.close()

    def test_a_process_that_dies_takes_all_with_it(self):
        process, port, _ = self.start("epoll", "--connections-max", "1k", "--workers", "2", open_files=200)
        with wire.Peer(port, user=1) as peer:
            children = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and parent_of(entry) == process.pid]
            self.assertEqual(len(children), 9)
            os.kill(children[0], signal.SIGKILL)
            self.assertEqual(process.wait(processes.TIMEOUT_S), 1)
            self.assertIn("error: a process ended by itself", process.stderr.read())
            peer.wait_closed()

    def test_wrong_usage(self):
        for name, binary in SERVERS.items():
            with self.subTest(server=name):
                process, port, _ = self.start(name)
                code, _, error = processes.run(binary, "--port", port)
                self.assertEqual(code, 1)
                self.assertIn("Address already in use", error)
                for flags in (("--port", "70k"), ("--workers", "0"), ("--nonsense",)):
                    self.assertEqual(processes.run(binary, *flags)[0], 2, flags)
                self.stop(process)


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


if __name__ == "__main__":
    unittest.main(verbosity=2)
