"""The pure parts of tools/simulate: options, preflight, ready lines, identities, figures, series, verdict."""

import copy
import csv
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from hongbao_tools.common import network, preflight, processes, processors, units
from hongbao_tools.ledger import totals
from hongbao_tools.simulate import envelopes, html_report, main, options, reconcile, report, seconds, series, serving, show, story, thresholds


class UnitsTest(unittest.TestCase):
    def test_counts(self):
        for text, count in (("0", 0), ("20000", 20_000), ("20,000", 20_000), ("60k", 60_000), ("1M", 10**6), ("1.5M", 1_500_000),
                            ("10G", 10**10)):
            self.assertEqual(units.parse_count(text), count)
        for text in ("", "k", "-1", "1x", "1e6", "0x1", " 1", "1.", "1.0001k", "2,00", "1_000", "²"):
            with self.assertRaises(ValueError, msg=text):
                units.parse_count(text)

    def test_seconds(self):
        for text, seconds in (("60s", 60), ("2m", 120), ("1.5m", 90), ("1h", 3600), ("2000ms", 2)):
            self.assertEqual(units.parse_seconds(text), seconds)
        for text in ("", "60", "0s", "1.5s", "-5s", "5d", "100ms"):
            with self.assertRaises(ValueError, msg=text):
                units.parse_seconds(text)

    def test_text(self):
        self.assertEqual([units.short(n) for n in (600, 1_200, 1_234, 30_000, 60_000, 1_000_000, 1_500_000)],
                         ["600", "1.2k", "1,234", "30k", "60k", "1M", "1.5M"])
        self.assertEqual([units.yuan(n) for n in (0, 5, -5, 1_036_731)], ["0.00", "0.05", "-0.05", "10,367.31"])
        self.assertEqual([units.ms(n) for n in (90, 1_290, 134_000, None)], ["0.09", "1.3", "134", "-"])
        self.assertEqual(units.bytes_text(49_300_000), "49.3 MB")


class OptionsTest(unittest.TestCase):
    def test_the_first_run_needs_no_flag_and_takes_about_a_minute(self):
        o = options.parse([])
        self.assertEqual(o.users, 20_000)
        self.assertEqual([(p.name, p.qps, p.seconds) for p in o.phases], [("600", 600, 15), ("1.2k", 1200, 30)])
        self.assertEqual((o.shake_rate, o.gift_rate, o.gift_users), (200, 200, 3))

    def test_the_full_story(self):
        o = options.parse(["--users", "1M", "--qps", "60k"])
        self.assertEqual([(p.name, p.qps, p.seconds) for p in o.phases], [("30k", 30_000, 60), ("60k", 60_000, 120)])
        self.assertEqual((o.users, [phase.qps for phase in o.phases], o.seconds), (10**6, [30_000, 60_000], 180))

    def test_phases(self):
        o = options.parse(["--phases", "30k:60s,peak=60k:2m"])
        self.assertEqual([(p.name, p.qps, p.seconds) for p in o.phases], [("30k", 30_000, 60), ("peak", 60_000, 120)])

    def test_few_users_and_slow_steps_are_not_flooded_with_envelopes(self):
        o = options.parse(["--users", "2", "--phases", "30:5s"])
        self.assertEqual((o.gift_users, o.gift_rate, o.shake_rate), (2, 1, 10))

    def test_wrong_usage(self):
        for arguments, reason in (
            (["--users", "x"], "--users: 'x' is not a count"), (["--users", "0"], "--users: must be from 1"),
            (["--qps", "1"], "--qps: must be from 2"), (["--duration", "5"], "--duration: '5' is not a duration"),
            (["--phases", "30k"], "'30k' is not a phase"), (["--phases", "0:5s"], "at least 1 request/s"), (["--phases", ""], "is not a phase"),
            (["--phases", "=1:5s"], "is not a phase"),
            (["--phases", "1k:1s", "--qps", "5"], "leave out"), (["--protocol", "3"], "protocol"), (["--nope"], "--nope"),
            (["stray"], "stray"), (["--clients", "0"], "--clients"), (["--use", "5"], "--use"), (["--ledger", ""], "--ledger"),
            (["--kill-server", "soon"], "--kill-server: 'soon' is not a duration"), (["--kill-server", "45s"], "after the last step's end"),
            (["--kill-server", "5s", "--ledger", "none"], "needs a ledger"), (["--profile", "0s:5", "--phases", "1k:1s"], "leave one out"),
            (["--profile", ""], "give points"), (["--profile", "0s:5", "--kill-server", "5s"], "not with --profile"),
            (["--linger", "long"], "--linger: 'long' is not a duration"), (["--fail-if", "luck>1"], "--fail-if: 'luck>1': unknown key"),
        ):
            with self.assertRaises(options.UsageError) as caught:
                options.parse(arguments)
            self.assertIn(reason, str(caught.exception))

    def test_ledger_and_kills(self):
        self.assertEqual((options.parse([]).ledger, options.parse([]).kill_server), (None, []))
        self.assertEqual(options.parse(["--server-flags=--pin 0 --batch-wait-us '1 0'"]).server_flags, ["--pin", "0", "--batch-wait-us", "1 0"])
        with self.assertRaises(options.UsageError):
            options.parse(["--client-flags='"])
        o = options.parse(["--kill-server", "20s", "--kill-server", "5s", "--ledger", "x"])
        self.assertEqual((o.ledger, o.kill_server), ("x", [5, 20]))

    def test_an_earlier_runs_ledger_is_not_taken_unasked(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ledger.sqlite")
            self.assertEqual(main._ledger(options.parse([]), folder), path)
            self.assertIsNone(main._ledger(options.parse(["--ledger", "none"]), folder))
            with open(path, "wb") as file:
                file.write(b"x")
            with self.assertRaises(OSError):
                main._ledger(options.parse([]), folder)
            self.assertEqual(main._ledger(options.parse(["--ledger", path]), folder), path)

    def test_users_are_shared_out_without_gap_or_overlap(self):
        for users, clients in ((10, 1), (10, 3), (1_000_000, 7), (5, 5)):
            ranges = options.user_ranges(users, clients)
            ids = [user for first, last in ranges for user in (first, last)]
            self.assertEqual((len(ranges), ids[0], ids[-1]), (clients, 0, users - 1))
            for (_, last), (first, _) in zip(ranges, ranges[1:]):
                self.assertEqual(first, last + 1)
            self.assertTrue(all(first <= last for first, last in ranges))


FACTS = preflight.Facts(kernel="6.18.44-x", cores=2, files_hard=20_000, port_first=32_768, port_last=60_999, memory_available=23 * 10**9,
                        somaxconn=4096, syn_backlog=2048, file_max=2_466_170, conntrack_max=-1, conntrack_count=0, io_uring_error=0,
                        io_uring_disabled=0, root=True)


def facts(**changes):
    changed = copy.copy(FACTS)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


class ProcessorsTest(unittest.TestCase):
    """tests/net/processors_test.cc asks its twin the same."""

    V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        pathlib.Path(self.root + path).write_text(text, encoding="ascii")

    def test_the_least_group_counts(self):
        self.assertIsNone(processors.quota(self.root))
        self.write("/proc/self/mountinfo", self.V2)
        self.write("/proc/self/cgroup", "0::/a/b/c\n")
        self.write("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n")
        self.assertIsNone(processors.quota(self.root))
        self.write("/sys/fs/cgroup/a/b/c/cpu.max", "250000 100000\n")
        self.assertEqual(processors.quota(self.root), 2.5)
        self.write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n")
        self.assertEqual((processors.quota(self.root), processors.usable(self.root)), (0.5, 1))

    def test_version_one_and_a_containers_own_folder(self):
        self.write("/proc/self/mountinfo", "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n")
        self.write("/proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n")
        self.write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "150000\n")
        self.write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n")
        self.assertEqual(processors.quota(self.root), 1.5)
        self.write("/proc/self/mountinfo", "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")
        self.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
        self.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
        self.assertEqual(processors.quota(self.root), 4)


class PreflightTest(unittest.TestCase):
    def finding(self, name, users, **changes):
        return next(f for f in preflight.judge(facts(**changes), users) if f.name == name)

    def test_locked_memory(self):
        levels = {kib: self.finding("locked memory", 10**6, locked_bytes=kib << 10).level for kib in (0, 1024, 8192, 65_536)}
        self.assertEqual(levels, {0: "fail", 1024: "fail", 8192: "note", 65_536: "ok"})
        self.assertIn("ulimit -l", self.finding("locked memory", 10**6, locked_bytes=0).cure)
        self.assertEqual(self.finding("locked memory", 1_000, locked_bytes=8 << 20, cores=2).level, "ok")
        self.assertEqual(self.finding("locked memory", 1_000, locked_bytes=8 << 20, cores=16).level, "note")
        self.assertEqual([f for f in preflight.judge(facts(locked_bytes=0, kernel="6.12"), 1_000) if f.name == "locked memory"], [])

    def test_a_filter_is_named_also_when_it_plays_an_old_kernel(self):
        for changes in ({"io_uring_error": 1}, {"io_uring_error": 38, "seccomp": True}):
            self.assertIn("seccomp", self.finding("io_uring", 100, **changes).cure)
        self.assertIn("CONFIG_IO_URING", self.finding("io_uring", 100, io_uring_error=38).cure)
        self.assertIn("io_uring_group", self.finding("io_uring", 100, io_uring_error=1, io_uring_disabled=1).cure)
        self.assertIn("ulimit -l", self.finding("io_uring", 100, io_uring_error=12).cure)

    def test_a_million_users_fit_the_two_core_machine(self):
        self.assertEqual([f.name for f in preflight.judge(FACTS, 10**6) if f.level != "ok"], [])
        self.assertIn("55 rings", self.finding("open files", 10**6).text)

    def test_every_failure_and_note_names_a_cure(self):
        bad = facts(files_hard=100, port_first=5, port_last=5, memory_available=10**9, somaxconn=128, syn_backlog=128, file_max=1000,
                    conntrack_max=1000, conntrack_count=1, io_uring_error=1, root=False)
        findings = preflight.judge(bad, 10**6)
        self.assertTrue(all(f.cure for f in findings))
        self.assertEqual({f.name for f in findings if f.level == "fail"}, {"io_uring", "open files", "ports", "memory", "file-max", "conntrack"})

    def test_a_loopback_that_is_down(self):
        found = self.finding("loopback", 10, loopback_up=False)
        self.assertEqual((found.level, "ip link set lo up" in found.cure), ("fail", True))
        self.assertNotIn("loopback", [f.name for f in preflight.judge(facts(loopback_up=False), 10, own_network=True)])

    def test_io_uring_refused(self):
        self.assertIn("seccomp", self.finding("io_uring", 10, io_uring_error=1).cure)
        self.assertIn("io_uring_disabled=0", self.finding("io_uring", 10, io_uring_error=1, io_uring_disabled=2).cure)
        self.assertIn("6.1 or newer", self.finding("io_uring", 10, io_uring_error=38).cure)
        self.assertEqual(self.finding("io_uring", 10, kernel="5.10.0-20-amd64").level, "fail")

    def test_regular_descriptors_need_the_limit_itself(self):
        found = self.finding("open files", 50_000, kernel="6.12.1")
        self.assertEqual(found.level, "fail")
        self.assertIn("ulimit -Hn 55200", found.cure)
        self.assertEqual(self.finding("open files", 10_000, kernel="6.12.1").level, "ok")

    def test_no_pair_uses_more_than_half_of_the_ports(self):
        for users in (1, 14_116, 14_117, 10**6):
            pairs = preflight.pairs_needed(users, 32_768, 60_999)
            self.assertLessEqual(users / pairs, 14_116)
        self.assertEqual(preflight.pairs_needed(14_117, 32_768, 60_999), 2)

    def test_memory_cure_fits(self):
        found = self.finding("memory", 5_000_000)
        self.assertEqual(found.level, "fail")
        fits = int(found.cure.split()[-1])
        self.assertEqual(self.finding("memory", fits).level, "ok")

    def test_unused_conntrack_is_only_a_note(self):
        self.assertEqual(self.finding("conntrack", 10**6, conntrack_max=262_144).level, "note")
        self.assertEqual(self.finding("conntrack", 10**6, conntrack_max=262_144, conntrack_count=9).level, "fail")

    def test_a_busy_machine_is_said(self):
        self.assertEqual(self.finding("load", 10, load_average=9.0).level, "note")

    def test_this_machine_can_be_read(self):
        found = preflight.read_facts()
        self.assertGreater(found.memory_available, 0)
        self.assertGreaterEqual(found.port_last, found.port_first)


class ReadyLineTest(unittest.TestCase):
    def test_server_and_client(self):
        self.assertEqual(processes.parse_ready("hongbao 0.1.0 server\nready: listening on 127.0.0.1:1025, admin 127.0.0.1:8989 (pid 7)\n"),
                         ("127.0.0.1:1025", "127.0.0.1:8989"))
        self.assertEqual(processes.parse_ready("ready: admin 127.0.0.1:9090 (pid 8)\n"), (None, "127.0.0.1:9090"))

    def test_half_a_line_or_another_line_is_not_it(self):
        self.assertIsNone(processes.parse_ready(""))
        self.assertIsNone(processes.parse_ready("hongbao 0.1.0 server: starting"))
        self.assertIsNone(processes.parse_ready("ready: listening on 127.0.0.1:10"))


def server_report():
    return {
        "connections": {"live": 2, "accepted": 12, "closed": 10},
        "requests": {"received": 900, "replied": 890, "refused": 10, "dropped": 0},
        "shake": {"issued": 300, "issued_fen": 30_000, "won": 290, "won_fen": 29_000, "left": 10, "left_fen": 1_000},
        "gifts": {"sent": 100, "sent_fen": 5_000, "shares": 300, "opened": 295, "opened_fen": 4_900, "left_shares": 3, "left_fen": 60,
                  "refunded_shares": 2, "refunded_fen": 40, "notices": 300},
        "identities": {"money": True},
        "series": [{"unix_s": 100 + i, "won": 200 - i, "received": 90} for i in range(10)],
    }


def ledger_totals():
    """What the run of server_report() leaves in its file."""
    return {"won": 290, "won_fen": 29_000, "opened": 295, "opened_fen": 4_900, "shake_issued": 300, "shake_issued_fen": 30_000,
            "shake_left": 10, "shake_left_fen": 1_000, "gifts": 100, "gifts_fen": 5_000, "gift_shares": 300, "gift_shares_fen": 0,
            "gift_left": 3, "gift_left_fen": 60, "refunded": 1, "refunded_fen": 40}


def client_report(first=0, share=1):
    """A client's report; `share`: of how many clients."""
    return {
        "connections": {"target": 12 // share, "established": 12 // share, "failed": {}, "seconds": 0.5},
        "requests": {"sent": 900 // share, "answered": 900 // share, "refused": 10 // share, "lost": 0, "missed": 0, "late": 4 // share,
                     "outstanding": 0},
        "replies": {"won": 290 // share, "nothing": 600 // share, "cap": 0, "refused": 10 // share},
        "won": {"count": 290 // share, "fen": 29_000 // share},
        "gifts": {"opened": 295 if first == 0 else 0, "opened_fen": 4_900 if first == 0 else 0},
        "phases": [{"name": "90", "at_unix_s": 100, "sent": 900 // share, "answered": 900 // share, "missed": 0, "late": 4 // share,
                    "worst_second_qps": 89, "best_second_qps": 91, "latency_us": {"schedule": {"p50": 90 + first, "max": 400}, "service": {"p50": 80}},
                    "wins_per_second": {"min": 1, "max": 2}}],
        "series": [{"unix_s": 100 + i, "sent": 90 // share, "target": 90 // share, "p50_us": 90 + first, "won": 29 // share} for i in range(10)],
        "identities": {"requests": True},
    }


class ReconcileTest(unittest.TestCase):
    def failed(self, server, clients):
        return [i.name for i in reconcile.identities(server, clients) if not i.holds]

    def test_a_good_run(self):
        self.assertEqual(self.failed(server_report(), [client_report()]), [])
        self.assertEqual(self.failed(server_report(), [client_report(0, 2), client_report(1, 2)]), [])

    def test_each_fen_and_each_request_counts(self):
        for path in ("shake.won_fen", "shake.left_fen", "shake.issued_fen", "shake.won", "shake.left", "gifts.opened_fen", "gifts.left_fen",
                     "gifts.refunded_fen", "gifts.sent_fen", "gifts.opened", "gifts.shares", "requests.received", "requests.dropped",
                     "connections.accepted", "connections.live"):
            server = server_report()
            room, name = path.split(".")
            server[room][name] += 1
            self.assertTrue(self.failed(server, [client_report()]), path)
        for path in ("won.fen", "won.count", "gifts.opened", "gifts.opened_fen", "requests.sent", "requests.lost", "replies.nothing"):
            client = client_report()
            room, name = path.split(".")
            client[room][name] += 1
            self.assertTrue(self.failed(server_report(), [client]), path)

    def test_the_ledger_is_a_witness_too(self):
        ledger = ledger_totals()
        broken = lambda **how: [i.name for i in reconcile.identities(server_report(), [client_report()], **how) if not i.holds]  # noqa: E731
        self.assertEqual(broken(ledger=ledger), [])
        for name in ("won", "won_fen", "opened", "opened_fen", "shake_issued_fen", "shake_left_fen", "gifts_fen", "gift_left_fen",
                     "refunded_fen"):
            self.assertTrue(broken(ledger=dict(ledger, **{name: ledger[name] + 1})), name)

    def test_after_a_restart_the_ledger_is_the_judge(self):
        server = server_report()  # of the last process: it knows little of what came before
        server["shake"] = {"issued": 5, "issued_fen": 500, "won": 9, "won_fen": 900}
        server["requests"] = {"received": 100, "replied": 100}
        names = [i.name for i in reconcile.identities(server, [client_report()], ledger_totals(), 1) if not i.holds]
        self.assertEqual(names, [])
        lost = reconcile.identities(server, [client_report()], dict(ledger_totals(), won=291, won_fen=29_100), 1)
        self.assertEqual(len([i for i in lost if not i.holds and "clients" in i.name]), 2)
        self.assertEqual(len(reconcile.not_judged([client_report()], 1, 2)), 2)
        self.assertEqual(len(reconcile.not_judged([client_report()], 1, 1)), 3)
        v1 = reconcile.identities(server, [client_report()], dict(ledger_totals(), won=291), 1, protocol=1)
        self.assertEqual([i.name for i in v1 if not i.holds], [])

    def test_a_restarts_money_is_the_ledgers(self):
        books = reconcile.from_ledger(ledger_totals())
        self.assertEqual(reconcile.money(books, [client_report()]), reconcile.money(server_report(), [client_report()]))
        self.assertEqual(reconcile.gifts(books, [client_report()])["refunded"], 2)

    def test_repeated_requests_are_not_held_against_the_server(self):
        client, server = client_report(), server_report()
        client["requests"]["repeated"], server["requests"]["received"], server["requests"]["replied"] = 3, 903, 893
        self.assertEqual(self.failed(server, [client]), [])
        self.assertEqual([one["name"] for one in reconcile.not_judged([client], 0, 2)], ["requests: client sent = server received"])

    def test_a_phase_with_a_restart_is_marked(self):
        phases = [{"name": n, "start_unix_s": start, "duration_s": 10, "target_qps": 90, "sent": sent, "missed": 0}
                  for n, start, sent in (("a", 100, 900), ("b", 110, 700))]
        restart = serving.Restart(at_unix_s=112.5, how="SIGKILL", recovery_ms=40, grants=9, cpu_s=1.0)
        self.assertEqual([phase.get("restarts", 0) for phase in report.marked(phases, [restart])], [0, 1])
        self.assertEqual(report.trouble_of([restart]), "")
        self.assertIn("SIGABRT", report.trouble_of([restart, dataclasses.replace(restart, how="SIGABRT")]))

    def test_what_stood_in_the_ledger_before_is_not_this_runs(self):
        self.assertEqual(totals.since({"won": 5, "won_fen": 50}, {"won": 7, "won_fen": 80}), {"won": 2, "won_fen": 30})
        self.assertEqual(totals.since(None, {"won": 7}), {"won": 7})

    def test_what_a_program_says_of_itself_counts(self):
        client = client_report()
        client["identities"]["requests"] = False
        self.assertEqual(self.failed(server_report(), [client]), ["client: requests"])

    def test_without_a_report_only_the_rest_is_judged(self):
        self.assertEqual(self.failed(server_report(), [None]), [])
        self.assertEqual(self.failed(None, [client_report()]), [])
        self.assertEqual(reconcile.identities(None, [None]), [])

    def test_money(self):
        money = reconcile.money(server_report(), [client_report()])
        self.assertEqual(money, {"issued": 35_000, "won": 33_900, "left": 1_060, "refunded": 40, "received": 33_900, "difference": 0})

    def test_one_clients_phase_is_taken_as_it_is(self):
        clients = [client_report()]
        phase = reconcile.merge_phase(100, options.Phase("90", 90, 10), clients, server_report(), reconcile.merged_series(clients))
        self.assertEqual((phase["sent"], phase["mean_qps"], phase["worst_second_qps"], phase["best_second_qps"]), (900, 90, 89, 91))
        self.assertEqual(phase["wins_per_second"], {"min": 191, "max": 200})
        self.assertEqual(phase["seconds_within_1_percent"], 10)

    def test_two_clients_phases_are_added_and_the_worst_latency_stands(self):
        clients = [client_report(0, 2), client_report(1, 2)]
        phase = reconcile.merge_phase(100, options.Phase("90", 90, 10), clients, server_report(), reconcile.merged_series(clients))
        self.assertEqual((phase["sent"], phase["late"], phase["worst_second_qps"], phase["best_second_qps"]), (900, 4, 90, 90))
        self.assertEqual(phase["latency_us"]["schedule"], {"max": 400, "p50": 91})

    def test_a_profile_is_judged_by_what_was_due(self):
        clients = [client_report(0, 2), client_report(1, 2)]
        for client in clients:
            client["phases"][0]["due"] = 450
            for number, row in enumerate(client["series"]):
                row["target"] = row["sent"] = 5 * number
            client["series"][3]["sent"] = 0
        phase = reconcile.merge_phase(100, options.Phase("profile", 0, 10), clients, server_report(), reconcile.merged_series(clients), True)
        self.assertEqual((phase["target_qps"], phase["due"], phase["sent"], phase["seconds_within_1_percent"]), (90, 900, 900, 9))

    def test_verdicts(self):
        good = reconcile.identities(server_report(), [client_report()])
        connected = {"established": 12, "target": 12}
        judge = reconcile.judge
        self.assertEqual(judge(good, connected, "", 0).text, "pass")
        self.assertEqual(judge(good, connected, "server died", 0).exit_code, 1)
        self.assertEqual(judge(good, connected, "", 130).exit_code, 130)
        self.assertEqual(judge(good, connected, "", 0, ["requests missed: 20"]).exit_code, 3)
        self.assertEqual(judge(good, {"established": 11, "target": 12}, "", 0).exit_code, 1)
        server = server_report()
        server["shake"]["won_fen"] += 1
        verdict = judge(reconcile.identities(server, [client_report()]), connected, "", 0, ["requests missed: 20"])
        self.assertEqual((verdict.text, verdict.exit_code), ("fail", 4))
        self.assertIn("29,000 != 29,001", "".join(verdict.reasons))

    def failed_conditions(self, clients, outages=()):
        return thresholds.reasons(thresholds.judge(thresholds.with_standard([]), thresholds.facts(clients, 0, outages)))

    def test_the_schedule_is_held_by_all_clients_together(self):
        held = dict(rate_held={"seconds": 10, "held": 10, "not_held": []})
        clients = [dict(client_report(0, 2), **held), dict(client_report(1, 2), **held)]
        for client in clients:
            client["requests"].update(due=client["requests"]["sent"], missed=0, unanswered=0, refused=0)
        self.assertEqual(self.failed_conditions(clients), [])
        clients[1]["connections"]["superseded"] = 3
        clients[1]["requests"].update(due=clients[1]["requests"]["due"] + 100, missed=100)
        clients[1]["rate_held"] = {"seconds": 10, "held": 8, "not_held": [104, 105]}
        clients[1]["series"][4].update(missed=60)
        clients[1]["series"][5].update(missed=40)
        self.assertEqual([reason.split(":")[0] for reason in self.failed_conditions(clients)],
                         ["sessions ended because their users logged in elsewhere", "requests missed", "seconds with the rate held"])
        # A killed server explains what was missed while it was away, and nothing more.
        clients[1]["connections"]["superseded"] = 0
        self.assertEqual(self.failed_conditions(clients, [(104, 105)]), [])
        self.assertEqual(len(self.failed_conditions(clients, [(104, 104)])), 2)

    def test_an_outage_lasts_until_all_have_had_the_time_to_come_back(self):
        restart = serving.Restart(at_unix_s=112.5, how="SIGKILL", recovery_ms=400, grants=9, cpu_s=1.0)
        asked = options.parse(["--users", "20k"])
        self.assertEqual(report.outages([restart], asked), [(111, 118)])
        self.assertEqual(report.outages([dataclasses.replace(restart, how="SIGSEGV")], asked), [])

    def test_nothing_measured_is_no_pass(self):
        client = client_report()
        self.assertEqual(reconcile.nothing_measured([client]), "")
        client["requests"].update(answered=0, due=900)
        client["gifts"].update(opened=0)
        self.assertEqual(reconcile.nothing_measured([client]), "nothing was measured: none of 900 requests was answered")
        self.assertEqual(reconcile.nothing_measured([]), "nothing was measured: no request was due")


class EnvelopesTest(unittest.TestCase):
    def test_they_follow_the_profile(self):
        profile = envelopes.rates([(0, 0), (2, 300), (4, 30), (5, 0)], 7)
        self.assertEqual(profile, [0, 0, 300, 300, 30, 0, 0])
        self.assertEqual(envelopes.orders(profile, 50), [(2, 1, 50, 50), (3, 1, 50, 50), (4, 1, 5, 5)])
        self.assertEqual(envelopes.orders([0, 0], 50), [])
        self.assertEqual(envelopes.orders([], 50), [])
        self.assertEqual(envelopes.orders(profile, 0), [])

    def test_none_is_lost_of_a_slow_or_a_long_one(self):
        self.assertEqual([count for _, _, count, _ in envelopes.orders([1] * 10 + [10], 2)], [1, 1, 2])
        orders = envelopes.orders([7] * 14_400, 1)
        self.assertLessEqual(len(orders), envelopes.ORDERS_MAX)
        self.assertEqual(sum(count for _, _, count, _ in orders), 14_400)
        self.assertTrue(all(length * rate >= count for _, length, count, rate in orders))

    def test_of_a_profile_the_share_is_the_plain_runs(self):
        self.assertIsNone(options.parse(["--profile", "gala2015"]).shake_rate)
        self.assertEqual(options.parse(["--profile", "gala2015", "--shake-rate", "7"]).shake_rate, 7)
        self.assertEqual(options.shake_rate(1_200 // 2), options.parse(["--users", "20k"]).shake_rate)


class UnknownTest(unittest.TestCase):
    """What only a missing report could have told is unknown, and never 0."""

    def result(self, folder, server, clients, trouble="", connected=False):
        told = story.Story(options.parse(["--users", "12", "--ledger", "none"]), "/nowhere", folder)
        words = type("P", (), {"last_words": lambda _: "it said nothing", "restarts": []})
        told.server, told.clients = words(), [words() for _ in clients]
        for number, process in enumerate([told.server, *told.clients]):
            process.name = "server" if number == 0 else f"client-{number - 1}"
        if connected:
            told.memory = {"server_base": 1, "client_base": 1, "server_full": 5_000, "clients_full": [5_000], "kernel_before": (1, 1), "kernel_full": (2, 2)}
        document, code = report.build(told, server, clients, [], trouble)
        html_report.summary(document)
        json.dumps(document)
        return document, code, show.result(document, folder, [])

    def test_without_any_report(self):
        with tempfile.TemporaryDirectory() as folder:
            document, code, text = self.result(folder, None, [None])
        self.assertEqual((code, document["verdict"], document["reasons"]), (1, "fail", ["no report from server, client-0"]))
        self.assertIn("connect    unknown of 12 in unknown s, failed connects unknown", text)
        self.assertIn("money      issued unknown = received unknown", text)
        self.assertIn("reconciled nothing", text)
        self.assertIn("files      none in ", text)
        self.assertNotRegex(text, r"\b0 (of|sent|issued|won)|0\.00")

    def test_with_some_reports_there_are_no_sums(self):
        with tempfile.TemporaryDirectory() as folder:
            document, code, text = self.result(folder, server_report(), [client_report(0, 2), None], connected=True)
        self.assertEqual((code, document["reasons"]), (1, ["no report from client-1"]))
        self.assertEqual((document["requests"]["sent"], document["phases"], document["money_fen"]["difference"]), (None, [], None))
        self.assertEqual(document["connections"]["established"], 12, "all were, when the load began")
        self.assertEqual(document["shake"]["won"], server_report()["shake"]["won"])
        self.assertIn("12 of 12 in unknown s", text)

    def test_a_full_disk_comes_first(self):
        with tempfile.TemporaryDirectory() as folder:
            document, _, _ = self.result(folder, None, [None], "client ended with exit code 1: error: x.json: No space left on device")
            self.assertTrue(document["reasons"][0].startswith(f"the disk of {folder} is full: client ended"))
        self.assertFalse(report.disk_full("/nowhere", ["all is well"]))


class SeriesTest(unittest.TestCase):
    def test_columns_are_those_promised(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "series.csv")
            series.write(path, server_report(), [client_report(0, 2), client_report(1, 2)])
            with open(path, encoding="utf-8") as file:
                header = file.readline().strip()
                file.seek(0)
                rows = list(csv.DictReader(file))
        self.assertEqual(header, "unix_s,role,host,users,target,sent,answered,missed,won,nothing,refused,lost,p50_us,p99_us,p999_us,max_us,"
                                 "lag_us,given_fen,got_fen,cpu_pct,rss_bytes")
        self.assertEqual(len(rows), 30)
        self.assertEqual([row["role"] for row in rows[:3]], ["server", "client", "client"])
        self.assertEqual(rows[1]["sent"], "45")

    def test_no_report_no_rows(self):
        self.assertEqual(series.rows(None, [None]), [])


class RowTest(unittest.TestCase):
    def test_seconds_are_handed_out_when_all_have_told(self):
        joined = story.Joined()
        names = ["server", "client"]
        joined.add("server", [{"unix_s": 1}, {"unix_s": 2}, {"unix_s": 3}])
        self.assertEqual(joined.take(names), [])
        joined.add("client", [{"unix_s": 1}, {"unix_s": 2}])
        self.assertEqual([second for second, _, _ in joined.take(names)], [1, 2])
        self.assertEqual(joined.take(names), [])
        joined.add("server", [{"unix_s": 4}])
        joined.add("client", [{"unix_s": 4}])  # the client stalled: it has no row for second 3
        self.assertEqual([second for second, _, _ in joined.take(names)], [4])
        self.assertEqual((joined.newest("server"), joined.newest("client"), joined.newest("other")), (4, 4, 0))

    def test_money_stands_whole(self):
        server = {"given_fen": 120, "received": 9, "server_cpu_pct": 40}
        clients = [{"got_fen": 80, "sent": 4, "answered": 4, "p50_us": 90}, {"sent": 5, "answered": 5, "p50_us": 70}]
        totals = {"given": 0, "got": 0}
        row = seconds.joined(101, server, clients, 3, totals)
        self.assertEqual((row["sent"], row["p50_us"], row["difference_fen"]), (9, 90, 40))
        row = seconds.joined(102, {}, [{"got_fen": 40}], 3, totals)
        self.assertEqual(row["difference_fen"], 0)
        self.assertIn("0.00", show.format_row(row))


class CommandTest(unittest.TestCase):
    def run_tool(self, *arguments):
        tool = os.path.join(os.environ["PYTHONPATH"], "simulate")
        environment = dict(os.environ, HONGBAO_BUILD_DIR="/nonexistent")
        return subprocess.run([tool, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False)

    def test_exit_codes(self):
        self.assertEqual(self.run_tool("--help").returncode, 0)
        self.assertIn("--users", self.run_tool("-h").stdout)
        self.assertEqual(self.run_tool("--version").returncode, 0)
        wrong = self.run_tool("--users", "many")
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn("--users: 'many' is not a count", wrong.stderr)
        unbuilt = self.run_tool("--users", "10", "--phases", "10:1s")
        self.assertEqual(unbuilt.returncode, 1)


class ProcessorsTest(unittest.TestCase):
    def test_counts_the_time_that_nobody_saw(self):
        ms = 1_000_000
        self.assertEqual(processors.stalls([0, 50_000, 4 * ms, 4 * ms + 10, 4 * ms + 200_010]), (3_950_000 + 200_000, 1, 3_950_000))
        self.assertEqual(processors.stalls([]), (0, 0, 0))

    def test_a_stall_that_lasts_beyond_the_end_counts_up_to_it(self):
        ended_ns = time.monotonic_ns() - 1_000_000_000  # as seen by a process that gets its turn a second too late
        self.assertEqual(list(processors._clock_until(ended_ns)), [ended_ns])

    def test_measures_all_processors(self):
        measured = processors.measure(0.05)
        self.assertGreaterEqual(measured["share_pct"], 0)
        self.assertLessEqual(measured["share_pct"], 100)
        self.assertIn("stalls over 1 ms", processors.describe(measured))


class NetworkTest(unittest.TestCase):
    def test_one_socket_a_bucket(self):
        self.assertEqual(network.entries_for(1_000), 65_536)
        self.assertEqual(network.entries_for(10**6), 2**21)
        self.assertEqual(network.entries_for(10**9), network.ENTRIES_MAX)

    def test_a_table_too_small_is_told(self):
        small = dataclasses.replace(FACTS, ehash_entries=262_144)
        self.assertEqual([f.name for f in preflight.judge(small, 10**6) if "socket table" in f.name], ["socket table"])
        self.assertEqual([f.name for f in preflight.judge(small, 100_000) if "socket table" in f.name], [])

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_enters_and_leaves_the_setting_as_it_was(self):
        code = ("from hongbao_tools.common import network; import socket; before = open(network.CHILD_ENTRIES).read();"
                "size = network.enter(40_000); s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname());"
                "print(before.strip(), size, open('/proc/sys/net/ipv4/tcp_ehash_entries').read().strip())")
        with open(network.CHILD_ENTRIES, encoding="ascii") as file:
            outside = file.read().strip()
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        if "Operation not permitted" in ran.stderr:
            self.skipTest("no namespaces here")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        before, size, inside = ran.stdout.split()
        self.assertEqual((before, size, inside), (outside, "131072", "131072"))
        with open(network.CHILD_ENTRIES, encoding="ascii") as file:
            self.assertEqual(file.read().strip(), outside)


if __name__ == "__main__":
    sys.exit(unittest.main())
