"""tools/doctor: what is read, what is judged, what is set and undone; the tool itself on a made-up machine."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

from hongbao_tools.common import preflight
from hongbao_tools.doctor import cards, facts, judge, main, settings

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "doctor")

BASE = preflight.Facts(kernel="6.18.44-x", cores=8, files_hard=20_000, port_first=32_768, port_last=60_999, memory_available=23 * 10**9,
                       somaxconn=4096, syn_backlog=2048, file_max=2_466_170, conntrack_max=-1, conntrack_count=0, io_uring_error=0,
                       io_uring_disabled=0, root=True, ehash_entries=1 << 22)
GOOD = facts.Facts(base=BASE, nr_open=1_048_576, tcp_mem=(287_901, 383_869, 575_802), tcp_rmem=(4096, 131_072, 6_291_456),
                   tcp_wmem=(4096, 16_384, 4_194_304), tw_reuse=2, netdev_backlog=10_000, overcommit=0, addresses=1, min_wait=True, clock_read=True,
                   clock_synchronised=True, clock_error_us=1_500, clocksource="tsc", governors=("performance",), steal_pct=0.1)


def changed(base=None, **changes):
    found = copy.deepcopy(GOOD)
    for name, value in (base or {}).items():
        setattr(found.base, name, value)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def findings(found=None, **plan):
    return {f.name: f for f in judge.judge(found or GOOD, judge.Plan(**{"users": 10**6, "qps": 60_000, **plan}))}


class JudgeTest(unittest.TestCase):
    def levels(self, found=None, **plan):
        return {name: f.level for name, f in findings(found, **plan).items() if f.level != "ok"}

    def test_a_good_machine_has_nothing_to_say(self):
        self.assertEqual(self.levels(), {})
        self.assertEqual(self.levels(side="server"), {})
        self.assertTrue(all(f.needed for f in findings(side="server").values()))

    def test_whatever_is_not_ok_has_a_cure(self):
        bad = changed({"files_hard": 100, "port_first": 1_024, "port_last": 2_000, "memory_available": 10**9, "somaxconn": 128, "syn_backlog": 128,
                       "file_max": 1000, "conntrack_max": 1000, "conntrack_count": 5, "io_uring_error": 1, "root": False, "cores": 1,
                       "ehash_entries": 1000, "load_average": 9.0, "kernel": "6.1.0"},
                      nr_open=1000, tcp_mem=(1, 2, 3), tcp_rmem=(1, 2, 3), tcp_wmem=(1, 2, 3), tw_reuse=0, netdev_backlog=100, overcommit=2,
                      conntrack_buckets=10, clock_synchronised=False, clocksource="hpet", governors=("powersave",), steal_pct=9.0,
                      cards=(cards.Card("eth0", 10, 64, 4096, 1, 16, ("generic-receive-offload",)),))
        for side in judge.SIDES:
            for finding in findings(bad, side=side).values():
                self.assertIn(finding.level, ("note", "fail"), finding)
                self.assertTrue(finding.cure, finding)
                if finding.sysctl:
                    self.assertIn(f"sysctl -w {finding.sysctl[0]}=", finding.cure)
        self.assertEqual({name for name, f in findings(bad).items() if f.level == "fail"},
                         {"io_uring", "open files", "nr_open", "file-max", "memory", "conntrack", "tcp_mem"})

    def test_ports_are_ranges_times_addresses_times_servers_ports(self):
        self.assertEqual(findings()["ports"].level, "ok", "loopback has as many addresses as anybody wants")
        self.assertNotIn("ports", findings(side="server"))
        one = findings(side="client")["ports"]
        self.assertEqual(one.level, "fail")
        self.assertIn("28,232 ports x 1 source address x 1 server port = 28,232", one.text)
        self.assertEqual(one.sysctl, ("net.ipv4.ip_local_port_range", "1024 65535"))
        self.assertIn("32 source addresses", one.cure)
        self.assertEqual(findings(side="client", users=28_000)["ports"].level, "note", "more than half of them: it connects, slowly")
        self.assertEqual(findings(side="client", users=14_000)["ports"].level, "ok")
        self.assertEqual(findings(side="client", server_ports=71)["ports"].level, "ok")
        self.assertEqual(findings(side="client", sources=71)["ports"].level, "ok")
        wide = findings(changed({"port_first": 1_024, "port_last": 65_535}), side="client")["ports"]
        self.assertEqual((wide.level, wide.sysctl), ("fail", ()))
        self.assertEqual(findings(changed({"port_first": 1_024, "port_last": 65_535}, addresses=32), side="client")["ports"].level, "ok")

    def test_ports_of_servers_are_reserved_where_clients_could_take_them(self):
        self.assertEqual(findings()["reserved"].level, "ok")
        wide = {"port_first": 1_024, "port_last": 65_535}
        found = findings(changed(wide, reserved_ports="22,9000-9100"))["reserved"]
        self.assertEqual(found.sysctl, ("net.ipv4.ip_local_reserved_ports", "22,9000-9100,1025,8002,8003,8989"))
        self.assertEqual(findings(changed(wide, reserved_ports="1000-9999"))["reserved"].level, "ok")
        self.assertEqual(findings(side="client")["reserved"].level, "note", "the range is about to be widened")

    def test_one_end_needs_half(self):
        both, one = (findings(side=side)["memory"] for side in ("both", "server"))
        self.assertIn("10,196 bytes a connection, both ends", both.needed)
        self.assertIn("5,098 bytes a connection, one end", one.needed)
        self.assertEqual(self.levels(changed({"memory_available": 8 * 10**9})), {"memory": "fail"})
        self.assertEqual(self.levels(changed({"memory_available": 8 * 10**9}), side="server"), {})

    def test_what_only_one_side_needs(self):
        self.assertEqual(self.levels(side="client", sources=100), {"tw_reuse": "note"})
        self.assertEqual(self.levels(changed(clock_synchronised=False)), {}, "one machine has one clock")
        self.assertEqual(self.levels(changed(clock_synchronised=False), side="server"), {"clock": "note"})
        self.assertEqual(self.levels(changed(clock_read=False), side="server"), {"clock": "note"})
        self.assertEqual(self.levels(changed({"somaxconn": 128}), side="server"), {"somaxconn": "note"})
        self.assertNotIn("somaxconn", findings(side="client"))

    def test_cards(self):
        poor = cards.Card("eth0", 10, 256, 4096, 1, 4, ("tcp-segmentation-offload",))
        found = findings(changed(cards=(poor,)), side="server")
        self.assertEqual(found["eth0 ring"].cure, "ethtool -G eth0 rx 4096")
        self.assertEqual(found["eth0 queues"].cure, "ethtool -L eth0 combined 4")
        self.assertEqual(found["eth0 offloads"].cure, "ethtool -K eth0 tso on")
        self.assertEqual(found["eth0 speed"].level, "note")
        self.assertEqual(self.levels(changed(cards=(poor,))), {}, "with both ends here no card is in it")
        self.assertEqual(self.levels(changed(cards=(cards.Card("eth0"),)), side="server"), {}, "a driver that says nothing")
        self.assertEqual(self.levels(changed(cards=(cards.Card("eth0", 10_000, 256, 256, 1, 1),)), side="server"), {}, "it has no more")

    def test_processors(self):
        few = findings(changed({"cores": 2}))["processors"]
        self.assertEqual(few.level, "note")
        self.assertEqual(few.cure, "more of them, or --qps 53000")
        self.assertEqual(findings(changed({"cores": 2}), qps=53_000)["processors"].level, "ok")

    def test_locked_memory(self):
        self.assertEqual(findings(changed({"locked_bytes": 64 << 10}))["locked memory"].level, "fail")
        self.assertNotIn("locked memory", findings(changed()))

    def test_unknown_is_not_wrong(self):
        unknown = facts.Facts(base=BASE, clock_read=True, clock_synchronised=True)
        self.assertEqual(self.levels(unknown), {})
        self.assertEqual(self.levels(unknown, side="server"), {})


class FactsTest(unittest.TestCase):
    def test_addresses(self):
        trie = ("Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n"
                "     |-- 192.0.2.255\n        /32 link BROADCAST\nLocal:\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 10.0.0.1\n"
                "        /32 host LOCAL\n")
        self.assertEqual(facts.local_addresses(trie), 2)
        self.assertEqual(facts.local_addresses(""), 0)

    def test_steal(self):
        self.assertEqual(facts.steal_pct("cpu  10 0 0 90 0 0 0 0 0 0", "cpu  60 0 0 130 0 0 0 10 0 0"), 10.0)
        self.assertEqual(facts.steal_pct("cpu  10 0 0 90 0 0 0 0 0 0", "cpu  10 0 0 90 0 0 0 0 0 0"), 0.0)
        self.assertEqual(facts.steal_pct("", "cpu 1"), -1.0)

    def test_this_machine(self):
        found = facts.read()
        self.assertEqual(len(found.tcp_rmem), 3)
        self.assertGreaterEqual(found.addresses, 1)
        self.assertGreaterEqual(found.steal_pct, 0)
        self.assertTrue(judge.judge(found, judge.Plan(1000, 60)))


class Tree:
    """A folder that looks like a machine which is good enough for a million users, but for what a test changes."""

    FILES = {"proc/sys/kernel/osrelease": "6.18.1", "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999",
             "proc/meminfo": "MemTotal: 64000000 kB\nMemAvailable:   60000000 kB\n", "proc/sys/net/core/somaxconn": "4096",
             "proc/sys/net/ipv4/tcp_max_syn_backlog": "4096", "proc/sys/fs/file-max": "9000000", "proc/sys/fs/nr_open": "1048576",
             "proc/sys/net/ipv4/tcp_mem": "287901\t383869\t575802", "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456",
             "proc/sys/net/ipv4/tcp_wmem": "4096\t16384\t4194304", "proc/sys/net/ipv4/tcp_tw_reuse": "2",
             "proc/sys/net/ipv4/ip_local_reserved_ports": "", "proc/sys/net/core/netdev_max_backlog": "1000"}

    def __init__(self, folder):
        self.root = folder
        for name, text in self.FILES.items():
            self.put(name, text)

    def put(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def get(self, name):
        with open(os.path.join(self.root, name), encoding="utf-8") as file:
            return file.read()

    def run(self, *arguments):
        return subprocess.run([TOOL, "--root", self.root, *arguments], capture_output=True, text=True, check=False, timeout=60)


BACKLOG = "proc/sys/net/core/netdev_max_backlog"
TW_REUSE = "proc/sys/net/ipv4/tcp_tw_reuse"
DROP_IN = "etc/sysctl.d/60-hongbao.conf"


class ApplyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Tree(folder.name)

    def exists(self):
        return os.path.exists(os.path.join(self.tree.root, DROP_IN))

    def test_says_and_changes_nothing_by_itself(self):
        done = self.tree.run()
        self.assertIn("note  netdev backlog", done.stdout)
        self.assertIn("-> sysctl -w net.core.netdev_max_backlog=2400", done.stdout)
        self.assertEqual((self.tree.get(BACKLOG), self.exists()), ("1000\n", False))
        done = self.tree.run("--apply", "--dry-run")
        self.assertIn("would set net.core.netdev_max_backlog = 2400 (is 1000)", done.stdout)
        self.assertEqual((self.tree.get(BACKLOG), self.exists()), ("1000\n", False))

    def test_apply_twice_and_undo(self):
        done = self.tree.run("--apply")
        self.assertIn("set net.core.netdev_max_backlog = 2400 (was 1000)", done.stdout)
        self.assertIn("sysctl -w net.core.netdev_max_backlog=1000", done.stdout, "how to undo it")
        self.assertNotIn("note  netdev backlog", done.stdout)
        self.assertEqual(self.tree.get(BACKLOG), "2400\n")
        first = self.tree.get(DROP_IN)
        self.assertIn("# before: net.core.netdev_max_backlog = 1000\nnet.core.netdev_max_backlog = 2400\n", first)
        self.tree.run("--apply")
        self.assertEqual(self.tree.get(DROP_IN), first)
        self.tree.run("--apply", "--users", "2M")  # more is needed; before is still what it was before all of it
        self.assertIn("# before: net.core.netdev_max_backlog = 1000\nnet.core.netdev_max_backlog = 4800\n", self.tree.get(DROP_IN))
        self.assertIn("would remove", self.tree.run("--undo", "-n").stdout)
        self.assertEqual(self.tree.get(BACKLOG), "4800\n")
        done = self.tree.run("--undo")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.tree.get(BACKLOG), self.exists()), ("1000\n", False))
        done = self.tree.run("--undo")
        self.assertEqual((done.returncode, "nothing to undo" in done.stdout), (0, True))

    def test_values_of_several_words_and_of_none(self):
        self.tree.put("proc/sys/net/ipv4/tcp_mem", "1\t2\t3")
        self.tree.run("--apply", "--side", "client", "--sources", "100")
        self.assertEqual(self.tree.get("proc/sys/net/ipv4/tcp_mem"), "60000 120000 240000\n")
        self.tree.put("proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
        self.tree.run("--apply", "--side", "client", "--sources", "100")
        self.assertEqual(self.tree.get("proc/sys/net/ipv4/ip_local_reserved_ports"), "1025,8002,8003,8989,9090\n")
        self.assertIn("#   sysctl -w net.ipv4.tcp_mem='1 2 3'\n", self.tree.get(DROP_IN))
        self.assertIn("#   sysctl -w net.ipv4.ip_local_reserved_ports=''\n", self.tree.get(DROP_IN))
        self.assertEqual(self.tree.run("--undo").returncode, 0)
        self.assertEqual(self.tree.get("proc/sys/net/ipv4/tcp_mem"), "1 2 3\n")
        self.assertEqual(self.tree.get("proc/sys/net/ipv4/ip_local_reserved_ports").strip(), "")
        self.assertEqual(self.tree.get(TW_REUSE), "2\n")

    def test_what_somebody_changed_since_is_left(self):
        self.tree.run("--apply")
        self.tree.put(BACKLOG, "77")
        done = self.tree.run("--undo")
        self.assertIn("left net.core.netdev_max_backlog = 77", done.stdout)
        self.assertEqual((self.tree.get(BACKLOG), self.exists()), ("77\n", False))

    def test_another_ones_file_is_left_alone(self):
        self.tree.put(DROP_IN, "net.core.netdev_max_backlog = 5")
        for arguments in (["--apply"], ["--undo"]):
            done = self.tree.run(*arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn("left alone", done.stderr)
        self.assertEqual((self.tree.get(DROP_IN), self.tree.get(BACKLOG)), ("net.core.netdev_max_backlog = 5\n", "1000\n"))

    def test_a_file_changed_by_hand_is_left_alone(self):
        self.tree.run("--apply")
        text = self.tree.get(DROP_IN)
        self.tree.put(DROP_IN, text + "kernel.pid_max = 5")
        done = self.tree.run("--undo")
        self.assertEqual((done.returncode, "changed by hand" in done.stderr), (1, True))

    def test_a_line_of_another_hand_is_not_lost(self):
        self.tree.run("--apply")
        text = self.tree.get(DROP_IN)
        for line in ("vm.swappiness=10", "net/core/somaxconn = 9", "-kernel.pid_max = 5", "  vm.swappiness = 10"):
            self.tree.put(DROP_IN, text + line)
            for arguments in (["--apply", "--qps", "600k"], ["--undo"]):
                done = self.tree.run(*arguments)
                self.assertEqual((done.returncode, "changed by hand" in done.stderr), (1, True), line)
            self.assertEqual(self.tree.get(DROP_IN), text + line + "\n")

    def test_a_second_apply_that_fails_leaves_the_first_to_undo(self):
        kernel = settings.Kernel(self.tree.root)
        key = "net.core.netdev_max_backlog"
        settings.apply(kernel, [preflight.Finding("a", "note", "", "c", (key, "2400"))], "a test")
        refusing = settings.Kernel(self.tree.root)
        refusing.set = lambda key, value: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        self.assertFalse(settings.apply(refusing, [preflight.Finding("a", "note", "", "c", (key, "9000"))], "a test")[1])
        self.assertEqual([(s.value, s.before) for s in kernel.kept()], [("2400", "1000")])
        self.assertEqual(settings.undo(kernel)[0][0], f"set {key} = 1000 (was 2400)")

    def test_what_is_as_it_was_needs_no_undoing(self):
        self.tree.run("--apply")
        self.tree.put(BACKLOG, "1000")  # as after an end between the file and the setting
        done = self.tree.run("--undo")
        self.assertIn("net.core.netdev_max_backlog is 1000 already", done.stdout)
        self.assertEqual((done.returncode, self.exists()), (0, False))

    def test_an_interruption_waits_for_the_whole(self):
        script = ("import os, signal, sys\nfrom hongbao_tools.doctor import main, settings\nset_one = settings.Kernel.set\n"
                  "def interrupted(*arguments):\n  set_one(*arguments)\n  os.kill(os.getpid(), signal.SIGINT)\n"
                  "settings.Kernel.set = interrupted\nsys.exit(main.main(sys.argv[1:]))\n")
        before = {path: self.tree.get(path) for path in (BACKLOG, TW_REUSE)}
        for flag in ("--apply", "--undo"):
            done = subprocess.run([sys.executable, "-c", script, flag, "--root", self.tree.root], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((done.returncode, done.stderr.count("Traceback")), (0, 0), done.stderr)
            self.assertEqual(self.exists(), flag == "--apply")
        self.assertEqual({path: self.tree.get(path) for path in before}, before)

    def test_a_setting_that_cannot_be_made_is_not_in_the_file(self):
        class Refuses(settings.Kernel):
            def set(self, key, value):
                if key == "net.ipv4.tcp_tw_reuse":
                    raise PermissionError(13, "Permission denied")
                super().set(key, value)

        kernel = Refuses(self.tree.root)
        found = [preflight.Finding("a", "note", "", "c", ("net.ipv4.tcp_tw_reuse", "1")),
                 preflight.Finding("b", "note", "", "c", ("net.core.netdev_max_backlog", "9000")),
                 preflight.Finding("c", "note", "", "c", ("net.core.no_such", "1"))]
        lines, done = settings.apply(kernel, found, "a test")
        self.assertFalse(done)
        self.assertIn("cannot set net.ipv4.tcp_tw_reuse = 1: Permission denied", lines)
        self.assertIn("cannot read net.core.no_such: No such file or directory", lines)
        self.assertEqual([s.key for s in kernel.kept()], ["net.core.netdev_max_backlog"])
        lines, done = settings.apply(kernel, found[:1], "a test")
        self.assertEqual([s.key for s in kernel.kept()], ["net.core.netdev_max_backlog"])
        self.assertEqual(settings.undo(kernel)[1], True)
        lines, done = settings.apply(kernel, found[:1], "a test")
        self.assertFalse(done)
        self.assertFalse(self.exists())

    def test_the_kernel_writes_it_in_another_way(self):
        class Folds(settings.Kernel):
            def read(self, key):
                return super().read(key).replace("8002,8003", "8002-8003")

        kernel = Folds(self.tree.root)
        key = "net.ipv4.ip_local_reserved_ports"
        settings.apply(kernel, [preflight.Finding("a", "note", "", "c", (key, "1025,8002,8003"))], "a test")
        self.assertEqual([s.value for s in kernel.kept()], ["1025,8002-8003"])
        self.assertIn(f"set {key} =  (was 1025,8002-8003)", settings.undo(kernel)[0])

    def test_undo_that_fails_keeps_the_file(self):
        self.tree.run("--apply")
        kernel = settings.Kernel(self.tree.root)
        kernel.set = lambda key, value: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        lines, done = settings.undo(kernel)
        self.assertFalse(done)
        self.assertIn("kept", lines[-1])
        self.assertTrue(self.exists())

    def test_json(self):
        document = json.loads(self.tree.run("--json").stdout)
        self.assertEqual((document["users"], document["qps"], document["side"]), (10**6, 60_000, "both"))
        backlog = next(f for f in document["findings"] if f["name"] == "netdev backlog")
        self.assertEqual((backlog["level"], backlog["sysctl"]), ("note", {"net.core.netdev_max_backlog": "2400"}))
        self.assertEqual(sum(document["counts"].values()), len(document["findings"]))
        document = json.loads(self.tree.run("--json", "--apply").stdout)
        self.assertIn("set net.core.netdev_max_backlog = 2400 (was 1000)", document["applied"])
        self.assertTrue(json.loads(self.tree.run("--undo", "--json").stdout)["done"])

    def test_exit_codes(self):
        self.assertEqual(self.tree.run().returncode, 0, self.tree.run().stdout)
        self.tree.put("proc/meminfo", "MemAvailable: 1000000 kB")
        done = self.tree.run("--quiet")
        self.assertEqual(done.returncode, 1)
        self.assertIn("fail  memory", done.stdout)
        self.assertNotIn("ok    ", done.stdout)


class RealTest(unittest.TestCase):
    """This kernel's own settings, those of a network namespace that ends with the test; /etc/sysctl.d is an empty one as well."""

    KEYS = ("ip_local_port_range", "ip_local_reserved_ports", "tcp_tw_reuse")

    def inside(self, script):
        return subprocess.run(["unshare", "--net", "--mount", "sh", "-ec", "mkdir -p /etc/sysctl.d; mount -t tmpfs none /etc/sysctl.d\n" + script],
                              capture_output=True, text=True, check=False, timeout=60)

    def test_apply_and_undo(self):
        read = "(cd /proc/sys/net/ipv4; cat " + " ".join(self.KEYS) + ")"
        if self.inside("true").returncode != 0:
            self.skipTest("it takes root to make a network namespace")
        tool = f"{TOOL} --side client --sources 100"
        set_up = "echo 40000 41000 >/proc/sys/net/ipv4/ip_local_port_range; echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse"
        done = self.inside(f"{set_up}; {read}; {tool} --apply -q >&2 || true; {read}; {TOOL} --undo >&2; {read}; ls /etc/sysctl.d")
        self.assertEqual(done.returncode, 0, done.stderr)
        before = "40000\t41000\n\n0\n"
        self.assertEqual(done.stdout, before + "1024\t65535\n1025,8002-8003,8989,9090\n1\n" + before)


class CommandTest(unittest.TestCase):
    def run_tool(self, *arguments, **given):
        return subprocess.run([TOOL, *arguments], stderr=subprocess.PIPE, text=True, check=False, timeout=60, **{"stdout": subprocess.PIPE, **given})

    def test_help_version_and_wrong_usage(self):
        for flag, word in (("--help", "--apply"), ("-h", "exit codes"), ("--version", "tools/doctor 0.")):
            done = self.run_tool(flag)
            self.assertEqual((done.returncode, word in done.stdout), (0, True))
        for arguments, reason in ((["--users", "x"], "--users"), (["--side", "left"], "--side"), (["--nope"], "--nope"), (["stray"], "stray"),
                                  (["--apply", "--undo"], "one of them"), (["-n"], "--dry-run goes with"), (["--qps", "0"], "--qps")):
            done = self.run_tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(reason, done.stderr)
            self.assertIn("tools/doctor --help", done.stderr)

    def test_a_reader_that_leaves_and_a_full_disk(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as nobody:
            done = self.run_tool("--users", "10", stdout=nobody)
        self.assertEqual((done.returncode, "Traceback" in done.stderr), (0, False), done.stderr)
        with open("/dev/full", "w", encoding="ascii") as full:
            done = self.run_tool("--users", "10", stdout=full)
        self.assertEqual((done.returncode, "No space left" in done.stderr, "Traceback" in done.stderr), (1, True, False), done.stderr)

    def test_this_machine_holds_ten_users(self):
        done = self.run_tool("--users", "10", "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_lines(self):
        lines = main.lines_of(list(findings(changed(netdev_backlog=1)).values()), quiet=True)
        self.assertEqual(lines[1], " " * 22 + "-> sysctl -w net.core.netdev_max_backlog=2400")


if __name__ == "__main__":
    sys.exit(unittest.main())
