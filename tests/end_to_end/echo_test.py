"""The example service examples/echo as a process: it serves, it drains on SIGTERM, it says why it cannot start."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ECHO = os.environ.get("HONGBAO_ECHO", str(ROOT / "build/examples/echo/echo"))
READY = re.compile(r"ready: listening on (\S+):(\d+)")
TIMEOUT_S = 120  # the machine may be busy and the binary slow (sanitizers)


class EchoTest(unittest.TestCase):
    def start(self, listen="127.0.0.1:0", environment=None):
        echo = subprocess.Popen([ECHO, listen], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, **(environment or {})})
        self.addCleanup(self.end, echo)
        line = echo.stderr.readline()
        match = READY.search(line)
        self.assertIsNotNone(match, f"not ready: {line!r}")
        return echo, int(match.group(2))

    def end(self, echo):
        if echo.poll() is None:
            echo.kill()
        echo.wait()
        echo.stderr.close()

    def connect(self, port):
        peer = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.addCleanup(peer.close)
        return peer

    def receive(self, peer, size):
        data = b""
        while len(data) < size:
            part = peer.recv(size - len(data))
            if not part:
                break
            data += part
        return data

    def stop(self, echo, number=signal.SIGTERM):
        echo.send_signal(number)
        self.assertEqual(echo.wait(TIMEOUT_S), 0, echo.stderr.read())

    def test_echoes_and_drains(self):
        for environment in ({}, {"HONGBAO_RING_OFF": "direct"}):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(environment=environment, signal=number):
                    echo, port = self.start(environment=environment)
                    peers = [self.connect(port) for _ in range(50)]
                    for i, peer in enumerate(peers):
                        peer.sendall(b"%d" % i * 100)
                    for i, peer in enumerate(peers):
                        self.assertEqual(self.receive(peer, len(b"%d" % i * 100)), b"%d" % i * 100)
                    self.stop(echo, number)
                    for peer in peers:
                        self.assertEqual(peer.recv(1), b"", "no end of stream")
                    with self.assertRaises(ConnectionRefusedError):
                        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)

    def test_half_close_gets_its_answer(self):
        """As `printf hello | nc -N` does."""
        echo, port = self.start()
        for _ in range(100):
            peer = self.connect(port)
            peer.sendall(b"hello")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(self.receive(peer, 100), b"hello")
        self.stop(echo)

    def test_connection_lives_longer_than_any_login_would(self):
        echo, port = self.start()
        peer = self.connect(port)
        peer.sendall(b"early")
        self.assertEqual(self.receive(peer, 5), b"early")
        time.sleep(6)  # an echo knows no login: the deadline for one (5 s) is not for it
        peer.sendall(b"late")
        self.assertEqual(self.receive(peer, 4), b"late")
        self.stop(echo)

    def test_occupied_port(self):
        echo, port = self.start()
        for listen in (f"127.0.0.1:{port}", f"0.0.0.0:{port}"):
            second = subprocess.run([ECHO, listen], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            self.assertEqual(second.returncode, 1)
            self.assertRegex(second.stderr, rf"^error: .*{port}.*Address already in use")
            self.assertEqual(len(second.stderr.splitlines()), 1, second.stderr)
        self.stop(echo)

    def test_bad_address(self):
        for listen in ("nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "he re:7000", "1.2.3:7000", "::1:7000",
                       "127.0.0.1:-1", "127.0.0.1:7000x"):
            with self.subTest(listen=listen):
                echo = subprocess.run([ECHO, listen], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
                self.assertEqual(echo.returncode, 1)
                self.assertIn("error: cannot listen: ", echo.stderr)

    def test_without_io_uring(self):
        echo = subprocess.run([ECHO, "127.0.0.1:0"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                              env={**os.environ, "HONGBAO_RING_OFF": "io_uring"})
        self.assertEqual(echo.returncode, 1)
        self.assertIn("io_uring", echo.stderr)


if __name__ == "__main__":
    unittest.main()
