"""Any partition of the users over clients, started at any time, is the same fleet: the clock alone keeps them in step."""

import collections
import time

import processes
import wire

USERS = 120
SLOW, FAST = 40, 80  # requests a second, before and after the named second


def per_second(report, name):
    """{unix second: value} of a client's series."""
    return {row["unix_s"]: row[name] for row in report["series"]}


class PartitionTest(processes.EndToEndTest):
    def fleet(self, server, parts, protocol=2):
        """Clients for `parts` (user ranges), started one after another."""
        clients = []
        for first, last in parts:
            clients.append(self.client(server, "--users", f"{first}-{last}/{USERS}", "--protocol", protocol))
            self.connected(clients[-1])
        return clients

    def plan(self, clients):
        """One rate, another from a named second on, silence from a third on: the three seconds."""
        begin = int(time.time() + 1) + 1
        change, end = begin + 2, begin + 4
        for at, qps in ((begin, SLOW), (change, FAST), (end, 0)):
            for client in clients:
                client.set_rate(qps, at=at)
        return begin, change, end

    def finish(self, clients, end):
        processes.wait_until(lambda: time.time() >= end, "the last second is over")
        reports = []
        for client in clients:
            client.wait_status(lambda page: page["requests"]["outstanding"] == 0, "all are answered")
            # All of the last second's requests are sent, however late.
            client.wait_status(lambda page: page["requests"]["due"] == page["requests"]["sent"] + page["requests"]["missed"],
                               "due = sent")
            reports.append(client.stop(code=143))
        return reports

    def check_seconds(self, reports, begin, change, end):
        """Sums of the parts: what was planned, per second and exactly; what was sent, unless a stalled machine sent late."""
        for name in ("target", "sent"):
            total = collections.Counter()
            for report in reports:
                total.update(per_second(report, name))
            late = sum(report["requests"]["late"] for report in reports)
            if name == "target" or late == 0:
                for second in range(begin, end):
                    self.assertEqual(total[second], SLOW if second < change else FAST, f"{name} of {second}: {total}")
            self.assertEqual(sum(total.values()), SLOW * (change - begin) + FAST * (end - change), name)
        for report in reports:
            self.assertEqual(report["requests"]["missed"], 0)
            self.assertEqual([phase["target_qps"] for phase in report["phases"]], [SLOW, FAST])
            self.assertEqual([phase["at_unix_s"] for phase in report["phases"]], [begin, change])
        for phase, rate, seconds in ((0, SLOW, change - begin), (1, FAST, end - change)):
            for name in ("due", "sent", "answered"):  # attributed by the due time: exact, late or not
                self.assertEqual(sum(report["phases"][phase][name] for report in reports), rate * seconds, name)

    def test_two_halves_are_one_fleet(self):
        """Started seconds apart, by --at; the second rate comes over HTTP to each."""
        server = self.server()
        begin = int(time.time()) + 4
        change, end = begin + 2, begin + 4
        clients = []
        for users in (f"0-{USERS // 2 - 1}/{USERS}", f"{USERS // 2}-{USERS - 1}/{USERS}"):
            clients.append(self.client(server, "--users", users, "--qps", SLOW, "--at", begin))
            time.sleep(1)
        for client in clients:
            client.set_rate(FAST, at=change)
            client.set_rate(0, at=end)
            self.connected(client)
        self.assertLess(time.time(), begin, "all were connected before the first second")
        reports = self.finish(clients, end)
        self.check_seconds(reports, begin, change, end)
        page = server.stop()
        self.assertEqual(page["requests"]["received"], 2 * SLOW + 2 * FAST)
        self.assertEqual(page["requests"]["replied"], sum(report["requests"]["answered"] for report in reports))

    def test_the_union_is_the_schedule_of_one_client(self):
        """Against servers of ours that write down who shook: one client, and three parts of unequal size, user by user."""
        one, many = wire.FakeServer(), wire.FakeServer()
        self.addCleanup(one.stop)
        self.addCleanup(many.stop)
        alone = self.fleet(one.port, [(0, USERS - 1)], protocol=1)
        parts = self.fleet(many.port, [(0, 6), (7, 90), (91, USERS - 1)])
        begin, change, end = self.plan(alone + parts)
        self.check_seconds(self.finish(alone, end), begin, change, end)
        self.check_seconds(self.finish(parts, end), begin, change, end)
        self.assertEqual((one.errors, many.errors), ([], []))
        self.assertEqual(sorted(one.logins), [(1, user) for user in range(USERS)])
        self.assertEqual(sorted(many.logins), [(2, user) for user in range(USERS)])
        self.assertEqual(len(one.shakes), 2 * SLOW + 2 * FAST)
        self.assertEqual(collections.Counter(user for user, _ in one.shakes),
                         collections.Counter(user for user, _ in many.shakes))
        # A v2 stamp is the due time: evenly spaced over the second, whichever client sent it.
        stamps = sorted(stamp for _, stamp in many.shakes)
        want = [(begin * SLOW + n) * 10**9 // SLOW for n in range(2 * SLOW)]
        want += [(change * FAST + n) * 10**9 // FAST for n in range(2 * FAST)]
        self.assertEqual(len(stamps), len(want))
        off = max(abs(got - due) for got, due in zip(stamps, want))
        self.assertLessEqual(off, 1, "ns between a stamp and the request's due time")

    def test_defect24_rates_of_nothing_and_wrong_ones(self):
        """qps=0 stops the sending and divides by nothing; wrong rates and seconds are refused in words."""
        server = self.server()
        client = self.client(server, "--users", 20, "--qps", 50)
        self.connected(client)
        client.wait_status(lambda page: page["requests"]["answered"] > 0, "it shakes")
        client.set_rate(0, at=int(time.time()) + 2)
        client.wait_status(lambda page: page["target_qps"] == 0 and page["requests"]["outstanding"] == 0, "the rate is 0")
        for parameters in ({"qps": -1}, {"qps": "many"}, {}, {"qps": 2**32}, {"qps": 10, "at": 1}, {"qps": 10, "when": 5},
                           {"qps": 10, "at": "soon"}):
            code, body = client.http("POST", "/v1/qps", **parameters)
            self.assertEqual(code, 400, f"{parameters}: {body}")
            self.assertIn("error", body)
        self.assertEqual(client.http("GET", "/v1/qps", qps=10)[0], 405)
        client.set_rate(60)
        before = client.status()["requests"]["answered"]
        client.wait_status(lambda page: page["requests"]["answered"] > before, "it shakes again")
        client.stop(code=143)
        server.stop()


if __name__ == "__main__":
    processes.main()
