"""Environments that refuse: locked memory, address space, descriptors, system calls. The server says cause and cure and ends with
exit code 1, or makes do with less; it never aborts, and is never "ready" without serving."""

import ctypes
import os
import resource
import socket
import subprocess
import time
import unittest

import processes
import wire

ENOSYS, EPERM, EACCES = 38, 1, 13
IO_URING = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # the same numbers on every architecture
_LIBC = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def answer_with(error, *calls):
    """Between fork and exec: from now on a seccomp filter answers these system calls with `error`."""
    code = [_Instruction(0x20, 0, 0, 0)]  # the number of the call
    for left, call in zip(range(len(calls), 0, -1), calls):
        code.append(_Instruction(0x15, left, 0, IO_URING[call]))  # equal: to the last instruction
    code += [_Instruction(0x06, 0, 0, 0x7FFF0000), _Instruction(0x06, 0, 0, 0x00050000 | error)]  # allow; errno
    program = _Program(len(code), (_Instruction * len(code))(*code))
    assert _LIBC.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert _LIBC.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP


class EnvironmentTest(processes.EndToEndTest):
    def start(self, *flags, prepare=None, pass_fds=(), binary=processes.SERVER, environment=None):
        """A server in an environment that `prepare` makes, between fork and exec: (process, path of what it says)."""
        self._started += 1
        path = os.path.join(self.folder, f"said{self._started}")

        def both():
            processes.die_with_parent()
            if prepare:
                prepare()
        with open(path, "wb") as said:
            process = subprocess.Popen([binary, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet", *flags],
                                       stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=both, pass_fds=pass_fds,
                                       env={**os.environ, **(environment or {})})
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.wait()))
        return process, path

    def outcome(self, process, path):
        """("ready", text) or (exit code, text); ends it."""
        def text():
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        processes.wait_until(lambda: process.poll() is not None or "ready: listening" in text(), "it starts, or says why not")
        if process.poll() is not None:
            return process.returncode, text()
        port = int(text().split("ready: listening on 127.0.0.1:")[1].split(",")[0])
        with wire.Peer(port, 2, 5) as peer:  # ready means served
            peer.shake()
        process.terminate()
        self.assertEqual(process.wait(processes.TIMEOUT_S), 0, text())
        return "ready", text()

    # ---- system calls ----

    def test_a_filter_is_named_whatever_it_answers_and_whichever_call_it_forbids(self):
        for error in (ENOSYS, EPERM, EACCES):
            for calls in (tuple(IO_URING), ("io_uring_setup",), ("io_uring_enter",), ("io_uring_register",)):
                with self.subTest(error=error, calls=calls):
                    code, text = self.outcome(*self.start(prepare=lambda e=error, c=calls: answer_with(e, *c)))
                    self.assertEqual(code, 1, text)
                    self.assertIn("seccomp", text)
                    self.assertIn(f"{calls[0]} is answered with", text)
                    self.assertIn("unconfined", text)

    # ---- locked memory ----

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become nobody")
    def test_little_locked_memory_means_small_rings_then_words(self):
        def limited(kib):
            def prepare():
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (kib << 10, kib << 10))
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            return prepare
        folder = os.path.dirname(processes.SERVER)
        if subprocess.run([processes.SERVER, "--version"], preexec_fn=limited(8192), capture_output=True, check=False).returncode != 0:
            self.skipTest(f"nobody may not run what is in {folder}")
        for kib, flags in ((8192, ("--workers", "16")), (8192, ("--connections-max", "1m")), (1024, ("--workers", "4"))):
            with self.subTest(kib=kib, flags=flags):
                code, text = self.outcome(*self.start(*flags, prepare=limited(kib)))
                self.assertEqual(code, "ready", text)
        for kib in (0, 16):
            code, text = self.outcome(*self.start("--workers", "16", prepare=limited(kib)))
            if code != "ready":  # before 6.14 rings do not count
                self.assertEqual(code, 1, text)
                self.assertIn("locked memory is limited to", text)
                self.assertIn("ulimit -l", text)

    # ---- address space ----

    @unittest.skipIf(processes.SANITIZED, "a sanitizer's own addresses are more than any limit")
    def test_little_address_space_is_said_never_an_abort(self):
        """From what no program starts with to what is enough, in steps: each start ends well or in words."""
        outcomes = set()
        for mib in (64, 100, 150, 200, 300, 400, 600, 800, 1_200, 2_000, 4_000, 8_000, 16_000):
            with self.subTest(mib=mib):
                limit = mib << 20
                process, path = self.start("--workers", "2", prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
                code, text = self.outcome(process, path)
                if code == 127 or "error while loading shared libraries" in text or "cannot allocate" in text.lower():
                    continue  # the loader, before main
                self.assertIn(code, (1, "ready"), text)
                if code == 1:
                    self.assertRegex(text, r"ulimit -v|address space")
                outcomes.add(code)
        self.assertIn(1, outcomes, "no limit was too small")

    # ---- descriptors ----

    def regular(self):
        return {"HONGBAO_RING_OFF": "direct"}

    def test_regular_descriptors_beside_inherited_ones(self):
        read, write = os.pipe()
        inherited = [os.dup(read) for _ in range(2_000)]
        self.addCleanup(lambda: [os.close(number) for number in (read, write, *inherited)])
        process, path = self.start("--connections-max", "1k", "--users-max", "10k", pass_fds=inherited, environment=self.regular())
        def text():
            with open(path, encoding="utf-8") as file:
                return file.read()
        processes.wait_until(lambda: process.poll() is not None or "ready: listening" in text(), "it starts")
        port = int(text().split("ready: listening on 127.0.0.1:")[1].split(",")[0])
        peers = [wire.Peer(port, 2, user) for user in range(300)]  # with numbers far above what is served alone
        for peer in peers:
            peer.shake()
            peer.close()
        self.assertEqual(self.outcome(process, path)[0], "ready", text())

    def test_regular_descriptors_beside_idle_http_connections(self):
        process, path = self.start("--connections-max", "1k", "--users-max", "10k", environment=self.regular())
        def text():
            with open(path, encoding="utf-8") as file:
                return file.read()
        processes.wait_until(lambda: process.poll() is not None or " admin " in text(), "it starts")
        admin = int(text().split(" admin 127.0.0.1:")[1].split(" ")[0])
        idle = []
        for _ in range(2_500):
            one = socket.socket()
            one.settimeout(processes.TIMEOUT_S)
            one.connect(("127.0.0.1", admin))
            idle.append(one)
        code, said = self.outcome(process, path)
        for one in idle:
            one.close()
        self.assertEqual(code, "ready", said)

    def test_without_a_free_descriptor_it_says_so_once(self):
        process, path = self.start("--connections-max", "100", "--workers", "2", environment=self.regular(),
                                   prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
        def text():
            with open(path, encoding="utf-8") as file:
                return file.read()
        processes.wait_until(lambda: process.poll() is not None or "ready: listening" in text(), "it starts")
        port = int(text().split("ready: listening on 127.0.0.1:")[1].split(",")[0])
        peers = []
        for _ in range(300):
            one = socket.socket()
            one.connect(("127.0.0.1", port))
            peers.append(one)
        processes.wait_until(lambda: "no descriptor" in text(), "it says why nobody more is let in")
        time.sleep(0.5)  # several pauses more
        self.assertEqual(text().count("no descriptor"), 1, text())
        self.assertIn("ulimit -n", text())
        for one in peers:
            one.close()
        process.terminate()
        self.assertEqual(process.wait(processes.TIMEOUT_S), 0, text())


if __name__ == "__main__":
    processes.main()
