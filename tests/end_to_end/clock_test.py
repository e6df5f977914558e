"""Wall clocks that are set while programs run: server, client, and money that must not move by a clock that nobody confirmed."""

import mmap
import os
import struct
import time
import unittest

import processes
import wire

STEP_CLOCK = os.environ.get("HONGBAO_STEP_CLOCK", "")
HOUR_S = 3_600


class Clock:
    """The wall clock of the processes that run with its environment."""

    def __init__(self, folder, name, ahead_s=0.0):
        path = os.path.join(folder, name + ".clock")
        with open(path, "wb") as file:
            file.write(struct.pack("=q", int(ahead_s * 1e9)))
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": STEP_CLOCK, "HONGBAO_STEP_FILE": path, "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def set_ahead(self, seconds):
        self._memory[:8] = struct.pack("=q", int(seconds * 1e9))


@unittest.skipUnless(STEP_CLOCK, "needs the preloaded clock")
class ClockTest(processes.MonitoredTest):
    def wait_clock(self, process, steps):
        return process.wait_status(lambda page: page["clock"]["steps"] == steps, f"{steps} steps are known")

    # ---- server ----

    def test_a_server_goes_on_wherever_its_clock_is_set(self):
        clock = Clock(self.folder, "server")
        monitor = self.monitor()
        server = self.server("--monitor", monitor.address, environment=clock.environment)
        server.shakes(rate=20, count=100_000)
        issued = server.wait_status(lambda page: page["shake"]["issued"] > 0, "the order has begun")["shake"]["issued"]
        ahead = [-HOUR_S, 0, HOUR_S, 0, -HOUR_S, 600, 0]
        for steps, seconds in enumerate(ahead, 1):
            clock.set_ahead(seconds)
            page = self.wait_clock(server, steps)
            self.assertGreaterEqual(page["uptime_s"], 0)
            page = server.wait_status(lambda page: page["shake"]["issued"] >= issued + 40, "it goes on issuing")
            issued = page["shake"]["issued"]
            newest = lambda: server.order("GET", "/v1/series")["series"][-1]["unix_s"]
            processes.wait_until(lambda: abs(newest() - (time.time() + seconds)) < 60, "rows have the second that the clock shows")
        self.assertAlmostEqual(page["clock"]["step_sum_s"], 0, delta=0.5)
        self.assertIn(f"hongbao_clock_steps_total {len(ahead)}", server.http("GET", "/metrics")[1])
        self.assertEqual(server.log().count("the wall clock was set"), len(ahead))
        monitor.wait_status(lambda page: page["sources"][0]["clock_steps"] == len(ahead), "the monitor knows")
        report = server.stop()
        self.assertIn("its wall clock was set, in all by -3600 s (1 step so far)", monitor.log())
        monitor.close()
        series = report["series"]
        self.assertEqual(sum(row["issued"] for row in series), report["shake"]["issued"], "no second is lost, none is told twice")
        self.assertLessEqual(abs(sum(row["span_s"] for row in series) - report["uptime_s"]), 2)
        full = [row["issued"] for row in series if row["issued"] > 0][1:-1]
        self.assertGreater(min(full), 0, "in each second")
        self.assertLess(max(full), 3 * 20, "and never what an hour would have brought")

    # ---- client ----

    def run_client(self, ahead, *flags, **options):
        clock = Clock(self.folder, "client")
        server = self.server(*options.pop("server_flags", ()))
        client = self.client(server, "--qps", "200", "--duration", "6s", "--late-max", "30s", *flags, environment=clock.environment)
        for steps, seconds in enumerate(ahead, 1):
            client.wait_status(lambda page: page["requests"]["sent"] >= 200 * steps, "it sends")
            clock.set_ahead(seconds)
            self.wait_clock(client, steps)
        report = client.finish()  # in 10 minutes, if it went by the wall clock
        self.assertEqual(report["requests"]["sent"], 1_200)
        self.assertEqual((report["requests"]["missed"], report["requests"]["lost"]), (0, 0))
        self.assertEqual(report["clock"]["steps"], len(ahead))
        self.assertAlmostEqual(report["clock"]["step_sum_s"], ahead[-1], delta=0.5)
        self.assertEqual(client.log().count("the wall clock was set"), len(ahead))
        self.assertIn("  clock      was set", client.rows())
        rows = [row for row in report["series"] if row["scheduled"] > 0]
        self.assertEqual(sum(row["scheduled"] for row in rows), 1_200)
        self.assertEqual(sum(row["sent"] for row in report["series"]), 1_200)
        self.assertLess(report["latency_us"]["schedule"]["max"], 60e6, "a step is no latency")
        return report

    def test_a_client_ends_on_time_after_a_step_back(self):
        self.run_client([-600])

    def test_a_client_ends_on_time_after_a_step_ahead(self):
        report = self.run_client([HOUR_S])
        self.assertEqual([phase["name"] for phase in report["phases"]], ["load"])
        self.assertEqual(report["phases"][0]["duration_s"], 6)

    def test_a_client_ends_on_time_after_a_step_that_is_taken_back(self):
        self.run_client([HOUR_S, 0])

    def test_gateways_end_on_time(self):
        token = os.path.join(self.folder, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write("00112233445566778899aabbccddeeff\n")
        os.chmod(token, 0o600)
        self.run_client([-HOUR_S], "--gateways", "2", "--gateway-token-file", token,
                        server_flags=("--gateway-token-file", token))

    def test_a_profile_goes_on(self):
        clock = Clock(self.folder, "client")
        server = self.server()
        client = self.client(server, "--qps", None, "--duration", None, "--profile", "0s:100,2s:100,2s:200,4s:200,4s:100,6s:100,6s:0", "--late-max", "30s",
                             environment=clock.environment)
        client.wait_status(lambda page: page["requests"]["sent"] >= 100, "it sends")
        clock.set_ahead(-HOUR_S)
        report = client.finish()
        self.assertEqual(report["requests"]["sent"], report["config"]["profile_requests"])
        self.assertEqual(report["requests"]["missed"], 0)

    # ---- money ----

    def ledger_server(self, clock, *flags, name="money"):
        return self.server("--ledger", "sqlite:" + os.path.join(self.folder, name + ".ledger"), *flags,
                           environment=clock.environment)

    def test_a_start_with_a_wrong_clock_refunds_nothing(self):
        for wrong_s in (25 * HOUR_S, -time.time() + 1_000):  # a day ahead; a dead clock, 1970
            with self.subTest(wrong_s=wrong_s):
                clock = Clock(self.folder, "server")
                name = "ahead" if wrong_s > 0 else "dead"
                server = self.ledger_server(clock, name=name)
                sender = wire.Peer(server.port, 2, 10)
                self.addCleanup(sender.close)
                gift = sender.send(300, [11, 12, 13]).envelope
                self.assertNotEqual(gift, 0)
                server.stop()
                clock.set_ahead(wrong_s)
                server = self.ledger_server(clock, name=name)
                page = server.wait_status(lambda page: page["uptime_s"] >= 2, "it serves for two seconds")
                self.assertFalse(page["clock"]["confirmed"])
                self.assertAlmostEqual(page["clock"]["started_off_s"], wrong_s, delta=600)
                self.assertEqual(page["gifts"]["refunded_shares"], 0)
                self.assertIn("hongbao_clock_confirmed 0", server.http("GET", "/metrics")[1])
                self.assertIn("nobody has confirmed the wall clock", server.log())
                server.stop()
                clock.set_ahead(0)
                server = self.ledger_server(clock, name=name)
                page = server.status()
                self.assertTrue(page["clock"]["confirmed"])
                self.assertGreaterEqual(page["gifts"]["left_shares"], 3)
                with wire.Peer(server.port, 2, 11) as peer:
                    self.assertGreater(peer.open(gift).fen, 0)
                self.assertEqual(server.stop()["gifts"]["refunded_shares"], 0)

    def test_a_clock_that_stands_is_believed_after_a_while(self):
        clock = Clock(self.folder, "server")
        server = self.ledger_server(clock)
        sender = wire.Peer(server.port, 2, 10)
        self.addCleanup(sender.close)
        sender.send(300, [11, 12, 13])
        server.stop()
        clock.set_ahead(25 * HOUR_S)  # nobody served for a day
        server = self.ledger_server(clock, "--clock-settle", "3s")
        server.wait_status(lambda page: page["clock"]["confirmed"] and page["gifts"]["refunded_shares"] == 3, "the gift has expired")
        processes.wait_until(lambda: "the wall clock is confirmed" in server.log(), "it is said")
        server.stop()

    def test_a_step_while_running_refunds_nothing(self):
        clock = Clock(self.folder, "server")
        server = self.ledger_server(clock)
        sender = wire.Peer(server.port, 2, 10)
        self.addCleanup(sender.close)
        gift = sender.send(300, [11, 12, 13]).envelope
        clock.set_ahead(25 * HOUR_S)
        self.wait_clock(server, 1)
        server.wait_status(lambda page: page["uptime_s"] >= 3, "it serves")
        with wire.Peer(server.port, 2, 11) as peer:
            self.assertGreater(peer.open(gift).fen, 0)
        self.assertEqual(server.stop()["gifts"]["refunded_shares"], 0)


if __name__ == "__main__":
    processes.main()
