"""The wire protocol a second time: written from docs/PROTOCOL.md alone, so that a mistake of libhongbao/wire shows.

Peer is a client of one user (blocking, one socket); FakeServer is a server that only says "nothing this time" and keeps
what it was asked.
"""

import collections
import selectors
import socket
import struct
import threading
import time

LOGIN, LOGIN_REPLY, SHAKE, SHAKE_REPLY, NOTICE, OPEN, OPEN_REPLY, SEND, SEND_REPLY, STATEMENT, STATEMENT_REPLY = range(11)
WON, NOTHING, CAP, OVERLOAD, REFUSED = 14, 15, 16, 17, 18
TIMEOUT_S = 60  # of waits that should end at once; generous, since nothing here measures time

SUPERSEDED = 6  # of a LoginResponse
Login = collections.namedtuple("Login", "stamp user result server_unix_ns last_stamp")
Shake = collections.namedtuple("Shake", "stamp user result envelope fen")
Notice = collections.namedtuple("Notice", "stamp envelope fen users")
Opened = collections.namedtuple("Opened", "stamp envelope fen user")
Sent = collections.namedtuple("Sent", "stamp user result envelope")
Statement = collections.namedtuple("Statement", "stamp user grants fen")


class Closed(Exception):
    """The other side has closed the connection."""


def frame(kind, stamp, *words, tail=b""):
    body = struct.pack(f">{len(words)}I", *words) + tail
    return struct.pack(">HHQ", 12 + len(body), kind, stamp) + body


def login(version, user, stamp, count=1, resume_after=0, token=bytes(16)):
    if version == 1:
        return frame(LOGIN, stamp, user)
    return frame(LOGIN, stamp, user, count, tail=struct.pack(">Q", resume_after) + token)


def decode(data, version):
    """What a client receives, as one of the tuples above."""
    length, kind, stamp = struct.unpack_from(">HHQ", data)
    assert length == len(data), f"the length says {length}, the frame has {len(data)} bytes: {data.hex()}"
    body = data[12:]
    if kind == NOTICE:
        envelope, fen, count = struct.unpack_from(">3I", body)
        assert count == 3 if version == 1 else 1 <= count <= 50, f"a notice for {count} users"
        return Notice(stamp, envelope, fen, struct.unpack(f">{count}I", body[12:]))
    if kind == LOGIN_REPLY:
        return Login(stamp, *(struct.unpack(">2I", body) + (0, 0) if version == 1 else struct.unpack(">2I2Q", body)))
    if kind == SHAKE_REPLY:
        return Shake(stamp, *struct.unpack(">4I", body))
    if kind == OPEN_REPLY:
        return Opened(stamp, *(struct.unpack(">2I", body) + (None,) if version == 1 else struct.unpack(">3I", body)))
    if kind == SEND_REPLY and version == 2:
        return Sent(stamp, *struct.unpack(">3I", body))
    if kind == STATEMENT_REPLY and version == 2:
        return Statement(stamp, *struct.unpack(">2IQ", body))
    raise AssertionError(f"a client of version {version} never receives type {kind}: {data.hex()}")


class Peer:
    """One connection. Notices that arrive while another answer is awaited are kept in `notices`."""

    def __init__(self, port, version=2, user=None, host="127.0.0.1", receive_buffer=None, resume_after=0, token=bytes(16)):
        self.version, self.user, self.notices, self._received = version, user, [], b""
        self.token = token
        self.superseded = False
        self._stamp = 0
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if user is not None:
            reply = self.login(user, resume_after)
            assert reply.result == 0, reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Vanishes: the server gets an RST instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def stamp(self):
        """v1: seconds, they repeat. v2: strictly increasing nanoseconds."""
        if self.version == 1:
            return int(time.time())
        self._stamp = max(self._stamp + 1, time.time_ns())
        return self._stamp

    def write(self, data):
        self.socket.sendall(data)

    def read_bytes(self):
        """The next whole frame; Closed when there is none any more."""
        while True:
            if len(self._received) >= 2:
                length = struct.unpack_from(">H", self._received)[0]
                assert 12 <= length <= 256, f"a frame of {length} bytes: {self._received[:40].hex()}"
                if len(self._received) >= length:
                    data, self._received = self._received[:length], self._received[length:]
                    return data
            try:
                more = self.socket.recv(65536)
            except ConnectionError as error:
                raise Closed(str(error)) from None
            if not more:
                assert not self._received, f"the connection ended within a frame: {self._received.hex()}"
                raise Closed("end of stream")
            self._received += more

    def read(self):
        return decode(self.read_bytes(), self.version)

    def expect(self, kind):
        """The next frame that is no notice, which must be a `kind`."""
        while True:
            got = self.read()
            if isinstance(got, kind):
                return got
            assert isinstance(got, Notice), f"{got} instead of a {kind.__name__}"
            self.notices.append(got)

    def notice(self):
        """The next notice; nothing else may come before it."""
        if self.notices:
            return self.notices.pop(0)
        got = self.read()
        assert isinstance(got, Notice), f"{got} instead of a notice"
        return got

    def wait_closed(self):
        """Reads whatever still comes until the other side has closed; returns the frames. The word that the user has logged in elsewhere is
        none of them: `superseded` says that it came."""
        frames = []
        try:
            while True:
                frame_ = self.read()
                if isinstance(frame_, Login) and frame_.result == SUPERSEDED:
                    self.superseded = True
                else:
                    frames.append(frame_)
        except Closed:
            return frames

    def login(self, user, resume_after=0):
        self.user = user
        stamp = self.stamp()
        self.write(login(self.version, user, stamp, resume_after=resume_after, token=self.token))
        reply = self.expect(Login)
        assert (reply.stamp, reply.user) == (stamp, user), reply
        return reply

    def send_shake(self, stamp=None):
        stamp = self.stamp() if stamp is None else stamp
        self.write(frame(SHAKE, stamp, self.user))
        return stamp

    def shake(self):
        stamp = self.send_shake()
        reply = self.expect(Shake)
        assert (reply.stamp, reply.user) == (stamp, self.user), reply
        assert (reply.result == WON) == (reply.fen > 0) == (reply.envelope > 0), reply
        return reply

    def open(self, envelope, user=None):
        if user is None:
            user = 0 if self.version == 1 else self.user  # v1: 0 means "me"
        stamp = self.stamp()
        self.write(frame(OPEN, stamp, user, envelope))
        reply = self.expect(Opened)
        assert (reply.stamp, reply.envelope) == (stamp, envelope), reply
        assert reply.user == (None if self.version == 1 else self.user), reply
        return reply

    def send(self, fen, users):
        stamp = self.stamp()
        self.write(frame(SEND, stamp, self.user, fen, len(users), *users))
        reply = self.expect(Sent)
        assert (reply.stamp, reply.user) == (stamp, self.user), reply
        return reply

    def statement(self):
        stamp = self.stamp()
        self.write(frame(STATEMENT, stamp, self.user))
        reply = self.expect(Statement)
        assert (reply.stamp, reply.user) == (stamp, self.user), reply
        return reply


class SteadyPeer(threading.Thread):
    """A well-behaved user who shakes all the time while others misbehave. finish() raises what went wrong for it."""

    def __init__(self, port, user, version=2, pause_s=0.005):
        super().__init__(daemon=True)
        self._peer = Peer(port, version, user)
        self._pause_s, self._ending, self._error = pause_s, threading.Event(), None
        self.shakes = 0
        self.results = collections.Counter()
        self.fen = 0
        self.start()

    def run(self):
        try:
            while not self._ending.is_set():
                reply = self._peer.shake()
                self.shakes += 1
                self.results[reply.result] += 1
                self.fen += reply.fen
                self._ending.wait(self._pause_s)
        except BaseException as error:  # handed to the test's thread
            self._error = error

    def finish(self):
        self._ending.set()
        self.join(2 * TIMEOUT_S)
        assert not self.is_alive(), "the well-behaved peer waits for an answer"
        if self._error is not None:
            raise AssertionError("the well-behaved peer was harmed") from self._error
        self._peer.close()
        assert self.shakes > 0


class FakeServer(threading.Thread):
    """Answers logins, shakes and statements (nobody ever wins) of both versions; keeps (user, stamp) of each shake in `shakes`."""

    def __init__(self):
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port = self._listener.getsockname()[1]
        self.shakes = []
        self.logins = []   # (version, user)
        self.errors = []
        self._ending = threading.Event()
        self.start()

    def run(self):
        while not self._ending.is_set():
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    peer, _ = self._listener.accept()
                    self._selector.register(peer, selectors.EVENT_READ, {"bytes": b"", "version": 0, "user": None})
                else:
                    self._serve(key.fileobj, key.data)

    def _serve(self, peer, state):
        try:
            data = peer.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(peer)
            peer.close()
            return
        state["bytes"] += data
        while len(state["bytes"]) >= 2:
            length = struct.unpack_from(">H", state["bytes"])[0]
            if len(state["bytes"]) < max(length, 12):
                return
            one, state["bytes"] = state["bytes"][:length], state["bytes"][length:]
            reply = self._answer(one, state)
            if reply is None:
                self.errors.append(one.hex())
                return
            peer.sendall(reply)

    def _answer(self, data, state):
        length, kind, stamp = struct.unpack_from(">HHQ", data)
        if kind == LOGIN and state["user"] is None and length in (16, 44):
            state["version"], state["user"] = 1 if length == 16 else 2, struct.unpack_from(">I", data, 12)[0]
            self.logins.append((state["version"], state["user"]))
            tail = b"" if length == 16 else struct.pack(">QQ", time.time_ns(), 0)
            return frame(LOGIN_REPLY, stamp, state["user"], 0, tail=tail)
        if kind == SHAKE and length == 16 and struct.unpack_from(">I", data, 12)[0] == state["user"]:
            self.shakes.append((state["user"], stamp))
            return frame(SHAKE_REPLY, stamp, state["user"], NOTHING, 0, 0)
        if kind == STATEMENT and length == 16 and struct.unpack_from(">I", data, 12)[0] == state["user"]:
            return frame(STATEMENT_REPLY, stamp, state["user"], 0, tail=struct.pack(">Q", 0))
        return None

    def stop(self):
        self._ending.set()
        self.join(TIMEOUT_S)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
