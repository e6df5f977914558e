"""GET /metrics of real programs under load: linted by promtool, read by an independent parser, equal to the programs' own reports,
and what docs/METRICS.md and the dashboard say they are."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import processes

try:
    from prometheus_client import parser as text_parser
except ImportError:  # Debian's package is for Debian's python3; this may be another one
    sys.path.append("/usr/lib/python3/dist-packages")
    from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMTOOL = shutil.which("promtool") or "/usr/local/lib/hongbao/promtool"
DASHBOARD = processes.ROOT / "tools/grafana/hongbao.json"
PAGE = processes.ROOT / "docs/METRICS.md"
USERS = 200


def scrape(process, accept=""):
    """(content type, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", process.admin_port, timeout=processes.TIMEOUT_S)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, body
        return response.getheader("Content-Type"), body
    finally:
        connection.close()


def families_of(process, openmetrics=False):
    """By the independent parser, which throws at what is malformed."""
    content_type, body = scrape(process, "application/openmetrics-text;version=1.0.0" if openmetrics else "")
    assert content_type == (OPENMETRICS if openmetrics else TEXT), content_type
    parse = (openmetrics_parser if openmetrics else text_parser).text_string_to_metric_families
    return list(parse(body))


def samples_of(process, openmetrics=False):
    """{(name, labels): value}."""
    result = {}
    for family in families_of(process, openmetrics):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in result, f"twice: {key}"
            result[key] = sample.value
    return result


def value(samples, name, **labels):
    return samples[(name, tuple(sorted(labels.items())))]


def is_cumulative(name):
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def promtool(*arguments, stdin=""):
    done = subprocess.run([PROMTOOL, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=processes.TIMEOUT_S,
                          check=False)
    return done.returncode, done.stdout + done.stderr


class MetricsTest(processes.MonitoredTest):
    def start(self):
        """A monitor, a server, and a client whose users are logged in and at rest."""
        monitor = self.monitor()
        server = self.server("--linger", "10m", "--monitor", monitor.address)
        client = self.client(server, "--users", USERS, "--linger", "10m", "--monitor", monitor.address)
        self.connected(client)
        return server, client, monitor

    def load(self, server, client):
        at = int(time.time() + 0.5) + 1
        client.set_rate(400, at=at)
        server.shakes(rate=50, count=100, at=at)
        server.gifts(rate=20, count=40, at=at, first_user=0, last_user=USERS - 1)

    def wait_opened(self, server):
        server.wait_status(lambda page: page["shake"]["won"] == 100 and page["gifts"]["opened"] == 120, "all is won and opened")

    def check_never_down(self, process, before):
        for _ in range(10):
            for openmetrics in (False, True):
                after = samples_of(process, openmetrics)
                for key, old in before.items():
                    if is_cumulative(key[0]) and key in after:  # the two formats write the bounds of buckets differently
                        self.assertGreaterEqual(after[key], old, key)
                before = {**before, **after}
            time.sleep(0.1)

    def check_client(self, samples, report):
        requests, replies = report["requests"], report["replies"]
        self.assertEqual(value(samples, "hongbao_requests_total", type="shake"), requests["sent"])
        self.assertEqual(value(samples, "hongbao_requests_due_total"), requests["due"])
        for result, name in (("won", "won"), ("nothing", "nothing"), ("cap", "cap"), ("refused", "refused")):
            self.assertEqual(value(samples, "hongbao_responses_total", result=result), replies[name], result)
        self.assertEqual(value(samples, "hongbao_request_duration_seconds_count"), requests["answered"])
        self.assertEqual(value(samples, "hongbao_service_duration_seconds_count"), requests["answered"])
        self.assertEqual(value(samples, "hongbao_schedule_lag_seconds_count"), requests["sent"])
        self.assertEqual(value(samples, "hongbao_request_duration_seconds_bucket", le="+Inf"), requests["answered"])
        self.assertEqual(value(samples, "hongbao_money_received_fen_total", kind="shake"), report["won"]["fen"])
        self.assertEqual(value(samples, "hongbao_money_received_fen_total", kind="gift"), report["gifts"]["opened_fen"])
        self.assertEqual(value(samples, "hongbao_statements_total", result="equal"), report["statements"]["equal"])
        self.assertGreater(requests["answered"], 0)
        self.assertGreater(report["won"]["fen"], 0)

    def check_server(self, samples, report):
        self.assertEqual(value(samples, "hongbao_requests_total", type="shake"), report["requests"]["received"])
        self.assertEqual(value(samples, "hongbao_responses_total", result="won"), report["shake"]["won"])
        self.assertEqual(value(samples, "hongbao_responses_total", result="nothing"), report["replies"]["nothing"])
        self.assertEqual(value(samples, "hongbao_envelopes_created_total", kind="shake"), report["shake"]["issued"])
        self.assertEqual(value(samples, "hongbao_money_issued_fen_total", kind="shake"), report["shake"]["issued_fen"])
        self.assertEqual(value(samples, "hongbao_money_given_fen_total", kind="shake"), report["shake"]["won_fen"])
        self.assertEqual(value(samples, "hongbao_money_given_fen_total", kind="gift"), report["gifts"]["opened_fen"])
        self.assertEqual(value(samples, "hongbao_connections_opened_total"), report["connections"]["accepted"])
        self.assertEqual(value(samples, "hongbao_connections"), 0)
        self.assertEqual(value(samples, "hongbao_draining"), 1)
        closes = {dict(labels)["cause"]: number for (name, labels), number in samples.items()
                  if name == "hongbao_connections_closed_total"}
        self.assertEqual(closes, {cause: float(number) for cause, number in report["connections"]["closed_by"].items()})
        self.assertGreater(report["shake"]["won_fen"], 0)

    def check_monitor(self, monitor, client, server):
        monitor.wait_status(lambda page: [s["condition"] for s in page["sources"]] == ["ended"] * 2, "both have ended")
        given_fen = server["shake"]["won_fen"] + server["gifts"]["opened_fen"]
        processes.wait_until(lambda: value(samples_of(monitor), "hongbao_monitor_money_received_fen") == given_fen,
                             "the account is that of the last row, some seconds behind")
        samples = samples_of(monitor)
        self.assertEqual(value(samples, "hongbao_monitor_requests_total", role="client"), client["requests"]["sent"])
        self.assertEqual(value(samples, "hongbao_monitor_requests_total", role="server"), server["requests"]["received"])
        self.assertEqual(value(samples, "hongbao_monitor_responses_total", role="client"), client["requests"]["answered"])
        self.assertEqual(value(samples, "hongbao_monitor_envelopes_won_total", role="server"), server["shake"]["won"])
        self.assertEqual(value(samples, "hongbao_monitor_money_given_fen"), given_fen)
        self.assertEqual(value(samples, "hongbao_monitor_money_difference_fen"), 0)
        for role in ("client", "server"):
            self.assertEqual(value(samples, "hongbao_monitor_sources", role=role, condition="ended"), 1)
        self.assertGreater(value(samples, "hongbao_monitor_records_total"), 4)

    def lingering(self, process, number):
        """Ends the run of the process; its report is written, its pages are still there."""
        process.send_signal(number)
        processes.wait_until(lambda: "lingering" in process.log(), f"{process.name} lingers")
        return process.report()

    def test_under_load(self):
        server, client, monitor = self.start()
        first = {process: samples_of(process) for process in (server, client, monitor)}
        self.load(server, client)
        for process in (client, server, monitor):
            self.check_never_down(process, first[process])
        self.wait_opened(server)
        client.wait_status(lambda page: page["gifts"]["opens_outstanding"] == 0, "all answers have come")

        client_report = self.lingering(client, signal.SIGTERM)
        at_end = samples_of(client)
        self.check_client(at_end, client_report)
        self.assertEqual(samples_of(client, openmetrics=True).keys() - at_end.keys(),
                         {key for key in samples_of(client, openmetrics=True) if dict(key[1]).get("le") in ("1.0", "2.0", "5.0", "10.0")})
        client.stop(signal.SIGTERM, code=143)  # the run's own code: it was interrupted

        server_report = self.lingering(server, signal.SIGTERM)
        self.check_server(samples_of(server), server_report)
        # What was given is what was got.
        for kind in ("shake", "gift"):
            self.assertEqual(value(samples_of(server), "hongbao_money_given_fen_total", kind=kind),
                             value(at_end, "hongbao_money_received_fen_total", kind=kind))
        # Every label set was there before any traffic, and none came later.
        self.assertEqual(first[client].keys(), at_end.keys())
        self.assertEqual(first[server].keys(), samples_of(server).keys())
        self.check_monitor(monitor, client_report, server_report)
        self.assertEqual(first[monitor].keys(), samples_of(monitor).keys())
        server.stop(signal.SIGINT)  # the run's own code

    def test_promtool_has_nothing_to_say(self):
        server, client, monitor = self.start()
        self.load(server, client)
        self.wait_opened(server)
        for process in (server, client, monitor):
            self.assertEqual(promtool("check", "metrics", stdin=scrape(process)[1]), (0, ""))
        # It would have: a linter that finds nothing anywhere proves nothing.
        self.assertNotEqual(promtool("check", "metrics", stdin="# TYPE requests counter\nrequests 1\n")[1], "")
        code, output = promtool("check", "config", processes.ROOT / "tools/prometheus/prometheus.yml")
        self.assertEqual(code, 0, output)

    def test_the_documented_and_the_live_are_the_same(self):
        server, client, monitor = self.start()
        live = {role: {family.name: family.type for family in families_of(process, openmetrics=True)}
                for role, process in (("server", server), ("client", client), ("monitor", monitor))}
        documented = {"server": {}, "client": {}, "monitor": {}}
        for name, kind, where in re.findall(r"^\| `(\w+?)(?:_total)?` \| (\w+) \| ([^|]+) \|", PAGE.read_text("utf-8"), re.M):
            for role in documented:
                if role in where or "all" in where:
                    documented[role][re.sub("_info$", "", name)] = kind
        for role, families in documented.items():
            self.assertEqual(families, live[role])

    def test_the_dashboard_asks_for_what_there_is(self):
        server, client, monitor = self.start()
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        live = {f"hongbao-{role}": {name for name, _ in samples_of(process)}
                for role, process in (("server", server), ("client", client), ("monitor", monitor))}
        asked = 0
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                self.assertNotRegex(target["expr"], r"\[\d", "rates are over $__rate_interval")
                for name, matchers in re.findall(r"\b((?:hongbao|process)_\w+)\{([^}]*)\}", target["expr"]):
                    asked += 1
                    for job in [job for job in live if job in matchers or "hongbao-.*" in matchers]:
                        self.assertIn(name, live[job], target["expr"])
                    self.assertRegex(matchers, r'job=~?"hongbao-(server|client|monitor|\.\*)"')
        self.assertGreater(asked, 30)
        self.check_layout(dashboard)

    def check_layout(self, dashboard):
        self.assertEqual(dashboard["uid"], "hongbao-load")
        variable, = dashboard["templating"]["list"]
        self.assertEqual((variable["name"], variable["type"], variable["query"]), ("DS_PROMETHEUS", "datasource", "prometheus"))
        panels = dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${DS_PROMETHEUS}"})
            self.assertEqual(len({target["refId"] for target in panel["targets"]}), len(panel["targets"]))
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    if not os.access(PROMTOOL, os.X_OK):
        sys.exit("promtool is missing: run tools/setup")
    processes.main()
