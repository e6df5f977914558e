"""Counter records of role 2 (docs/PROTOCOL.md), and the way to a monitor that may not be there."""

import collections
import errno
import os
import re
import socket
import struct
import threading

ROLE_NIC = 2
# What a name may look like; one that ends in a number would be a mistyped address.
_NAME = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*(?![0-9]+\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?")
SLOTS = 60
RECORD_BYTES = 976
QUEUE_MAX = 120  # two minutes
RETRY_S = 1.0
PATIENCE_S = 5.0  # with a connect that is not answered

# Slot -> (interfaces' field, or None, system's field): libhongbao/wire/counter_record.h, NicSlot.
_SLOTS = {40: ("rx_packets", None), 41: ("rx_bytes", None), 42: ("tx_packets", None), 43: ("tx_bytes", None), 44: ("rx_dropped", None),
          45: ("tx_dropped", None), 46: (None, "softirq_rx"), 47: (None, "softirq_tx"), 48: (None, "tcp_retransmitted"),
          49: (None, "tcp_received"), 50: (None, "tcp_sent"), 51: (None, "listen_dropped")}
SLOT_LIFE = 52
SLOT_END = 57
_U64 = (1 << 64) - 1


def encode(unix_s, slots):
    """{slot: (count, total)} -> 976 bytes, big-endian."""
    values = [unix_s, ROLE_NIC] + [0] * (2 * SLOTS)
    for slot, (count, total) in slots.items():
        values[2 + slot] = count & _U64
        values[2 + SLOTS + slot] = total & _U64
    return struct.pack(f">{len(values)}Q", *values)


def of_second(second, book, life):
    """A second's record: of all interfaces that are watched, and of the stack. `life` is (unix ns of the start, process id)."""
    slots = {SLOT_LIFE: life}
    for slot, (interface_field, system_field) in _SLOTS.items():
        if interface_field:
            slots[slot] = (sum(fields[interface_field] for fields in second.interfaces.values()),
                           sum(fields[interface_field] for fields in book.interfaces.values()))
        elif system_field in book.system:
            slots[slot] = (second.system.get(system_field, 0), book.system[system_field])
    return encode(second.unix_s, slots)


def of_end(unix_s, book, life, exit_code):
    slots = {SLOT_LIFE: life, SLOT_END: (1, exit_code)}
    for slot, (interface_field, system_field) in _SLOTS.items():
        total = (sum(fields[interface_field] for fields in book.interfaces.values()) if interface_field
                 else book.system.get(system_field, 0))
        slots[slot] = (0, total)
    return encode(unix_s, slots)


def parse_address(text):
    """'HOST:PORT' -> (family, host, port), the family None for a name; ValueError with the reason."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    host = "127.0.0.1" if host == "localhost" else host
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        break
    else:
        family = None
    if colon and port.isdecimal() and port.isascii() and 0 < int(port) < 65_536 and (family is not None or _NAME.fullmatch(host)):
        return family, host, int(port)
    raise ValueError(f"'{text}' is no address; write 127.0.0.1:8002, monitor.example.com:8002 or [::1]:8002")


class _Lookup(threading.Thread):
    """What a name stands for, asked on a thread of its own: a name server may take longer than a second's record may wait."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self._host, self._port = host, port
        self.found, self.error = [], ""

    def run(self):
        try:
            self.found = [(one[0], one[4][0]) for one in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            self.error = f"cannot resolve the name: {error}"


class Link:
    """Never blocks but in flush; a record that a lost connection cut off is sent again whole. `clock` is time.monotonic."""

    def __init__(self, address, clock):
        self._family, self._host, self._port = address
        self._lookup = None  # of a name, under way
        self._addresses = [] if self._family is None else [(self._family, self._host)]
        self._next = 0
        self._clock = clock
        self._socket = None
        self._connected = False
        self._due = clock()  # when to try next, or to give up trying
        self._queue = collections.deque()
        self._sent_of_first = 0
        self.sent = self.dropped = 0
        self.error = ""
        self._said = None

    def add(self, record):
        if len(self._queue) >= QUEUE_MAX:
            # The one that is half on its way goes on; the oldest that has not begun gives way.
            del self._queue[1 if self._sent_of_first else 0]
            self.dropped += 1
        self._queue.append(record)

    def tick(self):
        try:
            if self._socket is None and self._clock() >= self._due:
                self._connect()
            if self._socket is not None and not self._connected:
                self._look()
            if self._connected:
                self._read()
                self._send()
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(error.errno)

    def _next_address(self):
        """(family, host) to try; None while the name is being looked up, as it is whenever all its addresses have been tried."""
        if self._family is None and self._next == len(self._addresses):
            if self._lookup is None:
                self._lookup = _Lookup(self._host, self._port)
                self._lookup.start()
            if self._lookup.is_alive():
                return None
            lookup, self._lookup = self._lookup, None
            if not lookup.found:
                self._lose(0)
                self.error = lookup.error
                return None
            self._addresses, self._next = lookup.found, 0
        self._next = self._next % len(self._addresses) + 1
        return self._addresses[self._next - 1]

    def _connect(self):
        address = self._next_address()
        if address is None:
            return
        self._socket = socket.socket(address[0], socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._due = self._clock() + PATIENCE_S
        code = self._socket.connect_ex((address[1], self._port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def _look(self):
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            peer = self._socket.getpeername()
        except OSError:  # not yet
            if self._clock() >= self._due:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
            return
        if peer == self._socket.getsockname():
            # Without a listener the kernel may give a connect the very port it asks for: TCP connects the socket with itself.
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        self._connected, self.error = True, ""

    def _read(self):
        """A monitor has nothing to say but its end."""
        try:
            while True:
                if self._socket.recv(4096) == b"":
                    raise OSError(errno.ECONNRESET, "closed")
        except BlockingIOError:
            pass

    def _send(self):
        while self._queue:
            self._sent_of_first += self._socket.send(memoryview(self._queue[0])[self._sent_of_first:])
            if self._sent_of_first == len(self._queue[0]):
                self._queue.popleft()
                self._sent_of_first = 0
                self.sent += 1

    def _lose(self, code):
        if self._socket is not None:
            self._socket.close()
        self._socket, self._connected, self._sent_of_first = None, False, 0
        self._due = self._clock() + RETRY_S
        self.error = errno.errorcode.get(code, str(code))

    def news(self):
        """A line when the monitor has come or gone since the last time; None otherwise."""
        if self._said == self._connected or (not self._connected and (self._socket is not None or self._lookup is not None)):
            return None
        self._said = self._connected
        name = f"monitor {self._host}:{self._port}"
        return f"{name}: connected" if self._connected else f"{name}: no connection ({self.error}); trying again each second"

    def flush(self, timeout_s, sleep):
        """At the end: True when everything has left. Does not wait for a monitor that is not there."""
        until = self._clock() + timeout_s
        if self._socket is None:
            self._due = self._clock()
        self.tick()
        while self._queue and self._socket is not None and self._clock() < until:
            sleep(0.01)
            self.tick()
        done = not self._queue and self._connected
        if self._socket is not None:
            self._socket.close()
            self._socket, self._connected = None, False
        return done
