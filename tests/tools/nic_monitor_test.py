"""tools/nic_monitor: parsers, differences, records, the way to a monitor, and the tool itself on a made-up /proc."""

import csv
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from hongbao_tools.nic_monitor import card, counters, record, seconds, show

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "nic_monitor")

DEV_HEAD = ("Inter-|   Receive                                                |  Transmit\n"
            " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
SNMP = "Tcp: RtoMin MaxConn CurrEstab InSegs OutSegs RetransSegs InErrs\nTcp: 200 -1 {estab} {received} {sent} 7 0\n"
NETSTAT = "TcpExt: ListenOverflows ListenDrops\nTcpExt: 3 {dropped}\nIpExt: InNoRoutes\nIpExt: 0\n"


def dev_line(name, packets, dropped=0):
    return f"{name:>6}: {packets * 100} {packets} 1 {dropped} 0 0 0 0 {packets * 50} {packets * 2} 0 4 0 0 0 0\n"


class Tree:
    """A folder that looks like /proc."""

    def __init__(self, folder):
        self.proc = os.path.join(folder, "proc")
        os.makedirs(os.path.join(self.proc, "net"))
        self.write(dev_line("eth0", 1000) + dev_line("idle", 0))

    def put(self, name, text):
        path = os.path.join(self.proc, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)

    def write(self, lines, received=100, dropped=5, softirq=10):
        self.put("net/snmp", SNMP.format(estab=42, received=received, sent=2 * received))
        self.put("net/netstat", NETSTAT.format(dropped=dropped))
        self.put("net/softnet_stat", "000000ff 00000001 00000002 0 0\n00000001 00000000 0000000f 0\nbroken\n")
        self.put("softirqs", f"   CPU0 CPU1\n NET_TX: 1 2\n NET_RX: {softirq} 5\n HI: x\n")
        self.put("net/dev", DEV_HEAD + lines)  # last: with it a reader has the others


class ParserTest(unittest.TestCase):
    def test_reads_a_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            sample = counters.Machine(Tree(folder).proc).sample()
        self.assertEqual(sample.interfaces["eth0"], {"rx_bytes": 100_000, "rx_packets": 1000, "rx_errors": 1, "rx_dropped": 0,
                                                     "tx_bytes": 50_000, "tx_packets": 2000, "tx_errors": 0, "tx_dropped": 4})
        self.assertEqual(sample.system, {"softirq_rx": 15, "softirq_tx": 3, "softnet_dropped": 1, "softnet_squeezed": 17, "tcp_received": 100,
                                         "tcp_sent": 200, "tcp_retransmitted": 7, "tcp_in_errors": 0, "listen_overflows": 3,
                                         "listen_dropped": 5})
        self.assertEqual(sample.established, 42)

    def test_leaves_out_what_it_does_not_understand(self):
        self.assertEqual(counters.parse_dev("eth0: 1 2 3\n: 1\nx: " + "a " * 16 + "\n\nno colon"), {})
        self.assertEqual(counters.parse_softirqs("NET_RX: 1 x\nNET_TX:\n"), {})
        self.assertEqual(counters.parse_softnet("zz\n1 2\n"), (0, 0))
        self.assertEqual(counters.parse_pairs("Tcp: A B\nTcp: 1\nUdp: 5\nTcp\n"), {})
        self.assertEqual(counters.system_counters(None, None, None, None), ({}, -1))

    def test_a_machine_without_the_optional_files_or_without_interfaces(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(folder)
            for name in ("net/snmp", "net/netstat", "net/softnet_stat", "softirqs"):
                os.unlink(os.path.join(tree.proc, name))
            tree.put("net/dev", DEV_HEAD)
            sample = counters.Machine(tree.proc).sample()
            self.assertEqual((sample.interfaces, sample.system, sample.established), ({}, {}, -1))
            second = seconds.Book(None, sample).step(sample, 5, 1.0)
            self.assertEqual(len(show.rows(second)), 1)
            self.assertEqual(len(show.csv_lines(second)[0].split(",")), len(show.CSV_COLUMNS))
            os.unlink(os.path.join(tree.proc, "net/dev"))
            with self.assertRaises(OSError):
                counters.Machine(tree.proc).sample()


class CardTest(unittest.TestCase):
    def test_finds_what_cards_call_lost(self):
        for names, expected in (({"rx_fw_discards": 5, "rx_discards": 2, "tx_discards": 9, "rx_packets": 1}, 7),
                                ({"rx_drops": 3, "rx0_drops": 2, "rx1_drops": 1, "rx_xdp_drops": 50, "tx0_xdp_tx_drops": 4}, 3),
                                ({"[0]: rx_discards": 4, "[1]: rx_discards": 5}, 9), ({"rx_queue_0_drops": 6}, 6),
                                ({"rx_out_of_buffer": 1, "rx_discards_phy": 2, "tx_discards_phy": 8}, 3), ({"rx_missed_errors": 4}, 4),
                                ({"rx_packets": 5, "rx_no_buffer_count": 6}, None), ({}, None)):
            self.assertEqual(card.lost(names), expected, names)

    def test_an_interface_without_counters_of_its_own_has_none(self):
        cards = card.Cards()
        self.assertEqual(cards.counters("lo"), {})
        self.assertEqual(cards.counters("no-such-card-at-all"), {})

    def test_the_larger_of_the_kernels_count_and_the_cards_is_taken(self):
        class FakeCards:
            def counters(self, interface):
                return {"rx_fw_discards": {"eth0": 9, "eth1": 1}[interface]}

            def forget(self, interface):
                pass

        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(folder)
            tree.write(dev_line("eth0", 5, dropped=2) + dev_line("eth1", 5, dropped=2))
            sample = counters.Machine(tree.proc, FakeCards(), card.lost).sample()
        self.assertEqual([sample.interfaces[name]["rx_dropped"] for name in ("eth0", "eth1")], [9, 2])

    def test_says_what_ethtool_says(self):
        told = 0
        for name in os.listdir("/sys/class/net"):
            try:
                done = subprocess.run(["ethtool", "-S", name], capture_output=True, text=True, check=False)
            except FileNotFoundError:
                self.skipTest("ethtool is not installed, and nothing else here has another opinion")
            names = [line.rpartition(":")[0].strip() for line in done.stdout.splitlines()[1:]]
            if done.returncode == 0 and names:
                self.assertEqual(list(card.Cards().counters(name)), names)
                told += 1
        if told == 0:
            self.skipTest("no card of this machine counts by itself")


class SecondsTest(unittest.TestCase):
    def test_differences(self):
        top = 2**32
        for before, now, expected in ((5, 9, 4), (5, 5, 0), (top - 10, 20, 30), (top * 5, 7, 7), (1000, 30, 30), (top - 1, top - 5, top - 5),
                                      (2**64 - 1, 3, 3), (0, 2**64 - 1, 2**64 - 1)):
            self.assertEqual(seconds.difference(before, now), expected, (before, now))

    def sample(self, received=0, established=1, **packets):
        interfaces = {name: dict.fromkeys(counters.INTERFACE_FIELDS, count) for name, count in packets.items()}
        return counters.Sample(interfaces, {"tcp_received": received}, established)

    def test_seconds_sums_and_peaks(self):
        book = seconds.Book(None, self.sample(received=100, eth0=1000, idle=0))
        first = book.step(self.sample(received=150, eth0=1400, idle=0), 10, 1.0)
        self.assertEqual((first.interfaces["eth0"]["rx_packets"], first.system, list(first.interfaces)), (400, {"tcp_received": 50}, ["eth0"]))
        book.step(self.sample(received=151, eth0=1500, idle=5), 11, 0.5)
        self.assertEqual(book.interfaces["eth0"]["rx_packets"], 500)
        self.assertEqual(book.interfaces["idle"]["rx_packets"], 5)
        self.assertEqual(book.peaks["eth0"]["rx_packets"], 400)
        self.assertEqual((book.system, book.count, book.seconds), ({"tcp_received": 51}, 2, 1.5))

    def test_interfaces_that_come_and_go(self):
        book = seconds.Book(None, self.sample(eth0=10))
        came = book.step(self.sample(eth0=10, eth1=70), 1, 1.0)
        self.assertEqual((came.came, came.gone, came.interfaces["eth1"]["rx_packets"]), (["eth1"], [], 0))
        gone = book.step(self.sample(eth0=10), 2, 1.0)
        self.assertEqual((gone.came, gone.gone, list(gone.interfaces)), ([], ["eth1"], ["eth0"]))
        again = book.step(self.sample(eth0=10, eth1=3), 3, 1.0)
        self.assertEqual((again.came, again.interfaces["eth1"]["rx_packets"]), (["eth1"], 0))
        self.assertEqual(book.step(self.sample(eth0=10, eth1=8), 4, 1.0).interfaces["eth1"]["rx_packets"], 5)

    def test_chosen_interfaces(self):
        book = seconds.Book(["idle", "late"], self.sample(eth0=1, idle=0))
        self.assertEqual(book.absent, ["late"])
        self.assertEqual(list(book.step(self.sample(eth0=5, idle=0), 1, 1.0).interfaces), ["idle"])
        self.assertEqual(book.step(self.sample(eth0=5, idle=0, late=3), 2, 1.0).came, ["late"])


class RecordTest(unittest.TestCase):
    def test_layout(self):
        sample = SecondsTest().sample
        book = seconds.Book(None, sample(received=10, eth0=100, lo=1))
        told = book.step(sample(received=14, eth0=130, lo=3), 1_486_824_165, 1.0)
        record_bytes = record.of_second(told, book, (777, 42))
        self.assertEqual(len(record_bytes), record.RECORD_BYTES)
        numbers = struct.unpack(">122Q", record_bytes)
        counts, totals = numbers[2:62], numbers[62:]
        self.assertEqual(numbers[:2], (1_486_824_165, 2))
        self.assertEqual((counts[40], totals[40], counts[49], totals[49]), (32, 32, 4, 4), "interfaces are added up")
        self.assertEqual((counts[52], totals[52]), (777, 42))
        self.assertEqual((counts[57], totals[57]), (0, 0))
        end = struct.unpack(">122Q", record.of_end(5, book, (777, 42), 130))
        self.assertEqual((end[2 + 57], end[62 + 57], end[2 + 40], end[62 + 40]), (1, 130, 0, 32))

    def test_addresses(self):
        self.assertEqual(record.parse_address("127.0.0.1:8002"), (socket.AF_INET, "127.0.0.1", 8002))
        self.assertEqual(record.parse_address("localhost:1"), (socket.AF_INET, "127.0.0.1", 1))
        self.assertEqual(record.parse_address("[::1]:80"), (socket.AF_INET6, "::1", 80))
        for name in ("monitor:8002", "a.b-c.example.com:1", "my_service.local.:65535"):
            self.assertEqual(record.parse_address(name), (None, *name.rsplit(":", 1)[:1], int(name.rsplit(":", 1)[1])))
        for wrong in ("", "x", "-host:80", "a b:80", "1.2.3:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "127.0.0.1:²"):
            with self.assertRaises(ValueError, msg=wrong):
                record.parse_address(wrong)


class LinkTest(unittest.TestCase):
    """Against a real socket; the clock is the test's own."""

    def setUp(self):
        self.now = 100.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.link = record.Link((socket.AF_INET, "127.0.0.1", self.port), lambda: self.now)
        self.addCleanup(lambda: self.listener.close())
        self.addCleanup(lambda: self.link.flush(0, time.sleep))

    def tick_until(self, done):
        for _ in range(2000):
            self.link.tick()
            if done():
                return
            time.sleep(0.005)
        self.fail("it never came to that")

    def receive(self, peer, count):
        peer.settimeout(30)
        got = b""
        while len(got) < count:
            piece = peer.recv(count - len(got))
            self.assertNotEqual(piece, b"", "the link closed early")
            got += piece
        return got

    def test_sends_and_survives_a_restart_of_the_monitor(self):
        self.link.add(record.encode(1, {}))
        self.tick_until(lambda: self.link.sent == 1)
        peer, _ = self.listener.accept()
        self.assertEqual(struct.unpack(">Q", self.receive(peer, 976)[:8]), (1,))
        self.assertIn("connected", self.link.news())
        self.assertIsNone(self.link.news())
        peer.close()
        self.listener.close()
        self.tick_until(lambda: self.link.error != "")
        self.assertIn("no connection", self.link.news())
        self.link.add(record.encode(2, {}))
        self.link.tick()  # not before a second has passed
        self.now += 1.1
        self.link.tick()
        self.assertEqual(self.link.error, "ECONNREFUSED")
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.now += 1.1
        self.tick_until(lambda: self.link.sent == 2)
        peer, _ = self.listener.accept()
        self.assertEqual(struct.unpack(">Q", self.receive(peer, 976)[:8]), (2,))
        peer.close()

    def test_an_absent_monitor_costs_the_oldest_records_only(self):
        self.listener.close()
        for second in range(record.QUEUE_MAX + 5):
            self.link.add(record.encode(second, {}))
            self.link.tick()
        self.assertEqual(self.link.dropped, 5)
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.now += 2
        self.tick_until(lambda: self.link.sent == record.QUEUE_MAX)
        peer, _ = self.listener.accept()
        self.assertEqual(struct.unpack(">Q", self.receive(peer, 976 * record.QUEUE_MAX)[:8]), (5,))
        peer.close()

    def test_never_takes_itself_for_the_monitor(self):
        """Nobody listens, and the kernel gave the socket the monitor's own port: TCP connects it with itself."""
        self.listener.close()
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("127.0.0.1", self.port))
        own.setblocking(False)
        own.connect_ex(("127.0.0.1", self.port))
        self.link._socket = own
        self.link.add(record.encode(1, {}))
        self.link.tick()
        self.assertEqual((self.link.error, self.link.sent, own.fileno()), ("ECONNREFUSED", 0, -1))

    def test_a_record_that_was_cut_off_is_sent_again_whole(self):
        self.link.add(record.encode(1, {}))
        self.link.add(record.encode(2, {}))
        self.link._sent_of_first = 500  # as if a piece of the first had left when the connection was lost
        self.link._lose(104)
        self.now += 1.1
        self.tick_until(lambda: self.link.sent == 2)
        peer, _ = self.listener.accept()
        self.assertEqual(self.receive(peer, 2 * 976), record.encode(1, {}) + record.encode(2, {}))
        peer.close()

    def test_flush_does_not_wait_for_nobody(self):
        self.listener.close()
        self.link.add(record.encode(1, {}))
        self.assertFalse(self.link.flush(1000, lambda _: self.fail("it waits")))


class ToolTest(unittest.TestCase):
    def run_tool(self, *arguments, **settings):
        return subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False, timeout=60, **settings)

    def test_help_version_and_wrong_usage(self):
        for flag, word in (("--help", "--interface"), ("--version", "tools/nic_monitor 0.")):
            done = self.run_tool(flag)
            self.assertEqual((done.returncode, word in done.stdout), (0, True))
        for arguments, reason in ((["--duration", "5"], "--duration"), (["--monitor", "x"], "--monitor"), (["--interface", "a,,b"], "empty name"),
                                  (["--nope"], "--nope"), (["stray"], "stray"), (["--netns", "0"], "--netns")):
            done = self.run_tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(reason, done.stderr)
            self.assertIn("tools/nic_monitor --help", done.stderr)

    def test_cannot_start(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_tool("--proc", folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("cannot start", done.stderr)
            done = self.run_tool("--proc", Tree(folder).proc, "--csv", os.path.join(folder, "no", "such.csv"))
            self.assertEqual(done.returncode, 1)

    def test_rows_file_and_records_say_the_same(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
            tree, path = Tree(folder), os.path.join(folder, "nic.csv")
            command = [TOOL, "--proc", tree.proc, "--json", "--csv", path, "--monitor", f"127.0.0.1:{listener.getsockname()[1]}"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tool:
                listener.settimeout(30)
                peer, _ = listener.accept()
                documents = [json.loads(tool.stdout.readline())]
                for packets in (1100, 1250):
                    tree.write(dev_line("eth0", packets), received=packets)
                    documents.append(json.loads(tool.stdout.readline()))
                # One that comes, and one that goes.
                tree.write(dev_line("eth1", 77), received=1250)
                documents.append(json.loads(tool.stdout.readline()))
                tool.send_signal(signal.SIGINT)
                rest, chatter = tool.communicate(timeout=30)
                self.assertEqual(tool.returncode, 0)
            lines = rest.splitlines()
            documents += [json.loads(line) for line in lines[:-1]]
            summary = json.loads(lines[-1])["summary"]
            self.assertEqual(summary["interfaces"]["eth0"]["rx_packets"], 250)
            self.assertEqual(summary["rows"], len(documents))
            self.assertEqual(summary["system"]["tcp_received"], 1150)
            self.assertIn("eth0 has gone", chatter)
            self.assertIn("eth1 has come", chatter)
            peer.settimeout(30)
            received = b""
            while piece := peer.recv(65536):
                received += piece
            peer.close()
            records = [struct.unpack(">122Q", received[i:i + 976]) for i in range(0, len(received), 976)]
            self.assertEqual(len(records), len(documents) + 1)
            self.assertEqual([r[0] for r in records[:-1]], [d["unix_s"] for d in documents])
            self.assertEqual([r[2 + 40] for r in records[:-1]], [sum(f["rx_packets"] for f in d["interfaces"].values()) for d in documents])
            self.assertEqual((records[-1][2 + 57], records[-1][62 + 57], records[-1][62 + 40]), (1, 0, 250))
            with open(path, encoding="ascii", newline="") as file:
                written = list(csv.DictReader(file))
            self.assertEqual(sum(int(row["rx_packets"]) for row in written), 250)
            self.assertEqual(sum(int(row["tcp_received"] or 0) for row in written), 1150)
            self.assertEqual({int(row["unix_s"]) for row in written}, {d["unix_s"] for d in documents})

    def test_text_rows_a_lost_reader_and_an_absent_monitor(self):
        with tempfile.TemporaryDirectory() as folder:
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nobody = f"127.0.0.1:{closed.getsockname()[1]}"
            with subprocess.Popen([TOOL, "--proc", Tree(folder).proc, "--monitor", nobody, "-d", "2s"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as tool:
                self.assertIn("interface", tool.stdout.readline())
                self.assertIn("eth0", tool.stdout.readline())
                tool.stdout.close()
                self.assertEqual(tool.wait(timeout=30), 0)
                chatter = tool.stderr.read()
            self.assertIn("no connection (ECONNREFUSED)", chatter)
            self.assertNotIn("Traceback", chatter)
            self.assertNotIn("BrokenPipe", chatter)

    def test_interrupted_before_its_time(self):
        # The tests themselves may run under nohup, which the tool would inherit.
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        with tempfile.TemporaryDirectory() as folder:
            for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
                tree, path = Tree(os.path.join(folder, str(code))), os.path.join(folder, f"{code}.csv")
                with subprocess.Popen([TOOL, "--proc", tree.proc, "-d", "1h", "--quiet", "--csv", path], stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.PIPE) as tool:
                    while not os.path.exists(path):  # from then on it waits for signals
                        self.assertIsNone(tool.poll())
                        time.sleep(0.01)
                    tool.send_signal(signal.SIGUSR1)
                    self.assertIn("summary", tool.stderr.readline())
                    tool.send_signal(number)
                    rows, _ = tool.communicate(timeout=30)
                    self.assertEqual(tool.returncode, code)
                    self.assertTrue(rows.startswith("summary"))

    def test_goes_on_under_nohup(self):
        with tempfile.TemporaryDirectory() as folder:
            with subprocess.Popen(["nohup", TOOL, "--proc", Tree(folder).proc, "-d", "2s"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True) as tool:
                for _ in range(2):  # the header and a row: it has begun
                    self.assertNotEqual(tool.stdout.readline(), "")
                tool.send_signal(signal.SIGHUP)
                rest, _ = tool.communicate(timeout=30)
                self.assertEqual((tool.returncode, "summary    2 rows" in rest), (0, True))

    def test_a_name_the_locale_has_no_letters_for(self):
        """Whatever the locale: a line, and the name's own bytes in the file."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        tree, path = Tree(folder.name), os.path.join(folder.name, "names.csv")
        for environment in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
            for flags in ((), ("--json",)):
                with self.subTest(environment=environment, flags=flags):
                    tree.write(dev_line("eth0", 1000) + dev_line("wl\u00e4n\u4e2d", 5))
                    done = subprocess.run([TOOL, "--proc", tree.proc, "--duration", "1s", "--csv", path, *flags], capture_output=True,
                                          timeout=60, check=False, env={**os.environ, **environment})
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    with open(path, "rb") as file:
                        self.assertIn("wl\u00e4n\u4e2d".encode(), file.read())

    def test_a_full_disk_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder, open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([TOOL, "--proc", Tree(folder).proc, "-d", "1s"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                  timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_this_machine(self):
        done = self.run_tool("-d", "1s", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("summary", json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(unittest.main())
