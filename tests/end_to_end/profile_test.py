"""--profile: a rate over time, kept by any number of clients without a word between them."""

import itertools
import time

import processes


class ProfileTest(processes.EndToEndTest):
    def check_seconds(self, reports, start, rates):
        """The rate in force in each second is the profile's; what was due adds up to it, and no second has any of it early (a
        thread that was held up for a second counts it in a later one)."""
        for report in reports:
            rows = {row["unix_s"]: row for row in report["series"]}
            self.assertEqual([rows[start + i]["target_qps"] for i in range(len(rates)) if start + i in rows], rates)
        due = [sum(row["target"] for report in reports for row in report["series"] if row["unix_s"] == start + i)
               for i in range(len(rates))]
        for so_far, planned in zip(itertools.accumulate(due), itertools.accumulate(rates)):
            self.assertLessEqual(so_far, planned)
        self.assertEqual(sum(row["target"] for report in reports for row in report["series"]), sum(rates))
        self.assertEqual(sum(report["requests"]["due"] for report in reports), sum(rates))

    def test_each_second_has_its_rate(self):
        """What was due in each second is the profile's, and a second of it is sent as the schedule has it."""
        server = self.server()
        client = self.client(server, "--users", 100, "--qps", None, "--duration", None, "--json",
                             "--profile", "0s:100,2s:300,2s:50,4s:50,4s:0,5s:0")
        report = client.finish()
        due = [100, 200, 50, 50, 0]
        phase, = report["phases"]
        self.check_seconds([report], phase["at_unix_s"], due)
        self.assertEqual((phase["name"], phase["due"], phase["duration_s"], phase["target_qps"]), ("profile", 400, 5, 80))
        self.assertEqual(report["config"]["profile_requests"], 400)
        self.assertEqual(server.stop()["requests"]["received"], report["requests"]["sent"])

    def test_clients_agree_without_a_coordinator(self):
        """Two clients with half of the users each, told the same profile and second: together exactly the profile's requests."""
        server = self.server()
        at = int(time.time()) + 6
        flags = ("--profile", "0s:20,3s:500,3s:77,5s:1k", "--at", at, "--qps", None, "--duration", None)
        clients = [self.client(server, "--users", users, *flags) for users in ("0-49/100", "50-99/100")]
        reports = [client.finish() for client in clients]
        rates = [20, 180, 340, 77, 539]  # 77 + 923 / 2 = 538.5
        self.check_seconds(reports, at, rates)
        self.assertGreater(min(report["requests"]["due"] for report in reports), 400)  # a half each, about
        self.assertEqual([report["config"]["profile_requests"] for report in reports], [sum(rates)] * 2)
        server.stop()

    def test_the_gala_in_a_few_seconds(self):
        server = self.server()
        client = self.client(server, "--users", 200, "--qps", 800, "--duration", "8s", "--profile", "gala2015")
        report = client.finish()
        self.assertEqual(report["requests"]["due"], report["config"]["profile_requests"])
        self.assertEqual(max(row["target_qps"] for row in report["series"]), 800)
        server.stop()

    def test_a_rate_set_in_the_middle_stands_until_the_next_step(self):
        server = self.server()
        at = int(time.time()) + 6
        client = self.client(server, "--qps", None, "--duration", None, "--at", at, "--profile", "0s:10,6s:10,6s:30,8s:30")
        client.set_rate(100, at=at + 3, name="mine")
        report = client.finish()
        self.check_seconds([report], at, [10, 10, 10, 100, 100, 100, 30, 30])
        self.assertEqual([(phase["name"], phase["due"], phase["duration_s"]) for phase in report["phases"]],
                         [("profile", 90, 5), ("mine", 300, 3)])
        server.stop()

    def test_a_file_and_its_replay(self):
        server = self.server()
        path = f"{self.folder}/curve"
        with open(path, "w", encoding="utf-8") as file:
            file.write("# up and down\n0s 10\n2s:50\n3s 20\n")
        report = self.client(server, "--qps", None, "--duration", None, "--profile", path).finish()
        self.assertEqual(report["requests"]["due"], 10 + 30 + 50)
        series = f"{self.folder}/series.csv"
        with open(series, "w", encoding="utf-8") as file:
            file.write("unix_s,role,target\n")
            file.writelines(f"{row['unix_s']},client,{row['target']}\n" for row in report["series"])
        again = self.client(server, "--qps", None, "--duration", None, "--profile", series).finish()
        self.assertEqual(again["requests"]["due"], 90)
        server.stop()

    def test_wrong_profiles(self):
        for wrong, reason in ((("0s:5",), "one point has no end"), (("1s:5,2s:5",), "has to be at 0s"), (("gala",), "no name"),
                              (("0s:5,9s:5", "--qps", "7"), "without --qps"), (("0s:5,9s:x",), "'9s:x'")):
            code, out, err = processes.run(processes.CLIENT, "--profile", *wrong)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(reason, err)


if __name__ == "__main__":
    processes.main()
