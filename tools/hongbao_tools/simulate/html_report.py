"""report.html: the page of the live run with a run's rows inside it, a verdict, and tables, in one file that asks for nothing.

The page itself is made by the build (libhongbao/watch/page); where that is not there, the same words stand in plain tables.
"""

import html
import json
import os

from ..common import units
from . import seconds
from .thresholds import value_text

TEMPLATE = os.path.join("libhongbao", "watch", "page", "report_template.html")  # in the build folder
MARKER = "/*REPORT_DATA*/null"
_LATENCY_KINDS = (("schedule", "from the intended time"), ("service", "from the send"), ("winners", "of those that won"),
                  ("others", "of the others"))
_PERCENTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"))


def _table(caption, head, rows):
    return [{"caption": caption, "head": head, "rows": rows}] if rows else []


def _phases(report):
    head = ["phase", "target/s", "seconds", "sent", "answered", "missed", "late", "fewest/s", "most/s", "seconds within 1 %", "wins/s"]
    rows = [[phase["name"], units.commas(phase["target_qps"]), str(phase["duration_s"]), *(units.commas(phase[key]) for key in ("sent", "answered", "missed", "late")),
             f"{phase['worst_second_qps']:,.0f}", f"{phase['best_second_qps']:,.0f}", f"{phase['seconds_within_1_percent']} of {phase['duration_s']}",
             f"{phase['wins_per_second']['min']:,}-{phase['wins_per_second']['max']:,}"] for phase in report["phases"]]
    return _table("Phases", head, rows)


def _latencies(report):
    def row(name, words, found):
        return [name, words, *(units.ms(found.get(key)) for key, _ in _PERCENTILES)]
    rows = [row(phase["name"], words, phase["latency_us"][kind]) for phase in report["phases"] for kind, words in _LATENCY_KINDS
            if phase["latency_us"].get(kind)]
    rows += [row("whole run", words, report["latency_us"][kind]) for kind, words in _LATENCY_KINDS if report.get("latency_us", {}).get(kind)]
    return _table("Latency, ms", ["phase", "measured", *(name for _, name in _PERCENTILES)], rows)


def _money(report):
    money, shake, gifts = report["money_fen"], report["shake"], report["gifts"]
    rows = [["issued", units.yuan(money["issued"])], ["received by the clients", units.yuan(money["received"])],
            ["left", units.yuan(money["left"])], ["refunded", units.yuan(money["refunded"])], ["difference", units.yuan(money["difference"])]]
    envelopes = [["shake envelopes", units.commas(shake["issued"]), units.commas(shake["won"]), units.commas(shake["left"])],
                 ["gift shares", units.commas(gifts["shares"]), units.commas(gifts["opened"]), units.commas(gifts["left"])]]
    return _table("Money, yuan", ["", "yuan"], rows) + _table("Envelopes", ["", "issued", "won or opened", "left"], envelopes)


def _resources(report):
    memory, cpu, connected = report["memory"], report["cpu"], report["connections"]
    number = units.commas
    rows = [["connections", f"{number(connected['established'])} of {connected['target']:,} in {number(connected['seconds'], 1)} s, {units.failed(connected['failed'])}"],
            ["memory of the server", f"{units.bytes_text(memory['server_rss_bytes'])}, {number(memory['server_bytes_per_connection'])} B a connection"],
            ["memory of the clients", f"{units.bytes_text(memory['client_rss_bytes'])}, {number(memory['client_bytes_per_connection'])} B a connection"],
            ["memory of the kernel", f"{units.bytes_text(memory['kernel_bytes'])}, {number(memory['kernel_bytes_per_connection'])} B a connection"]]
    rows += [[f"processors, {phase['name']}", f"server {phase['server_cores']:.2f} cores, {phase['server_us_per_request']:.1f} us a request; clients "
              f"{phase['client_cores']:.2f} cores"] for phase in cpu["phases"]]
    return _table("What it took", ["", ""], rows)


def _judged(report):
    rows = [[one["name"], f"{one['left']:,}", f"{one['right']:,}", one["of"], "holds" if one["holds"] else "BROKEN"] for one in report["identities"]]
    rows += [[one["name"], "", "", one["why"], "not judged"] for one in report["not_judged"]]
    thresholds = [[one["expr"], value_text(one), "holds" if one["ok"] else "FAILED"]
                  for one in report.get("thresholds", [])]
    ledger = report["ledger"]
    restarts = [[str(number), one["how"], f"{one['recovery_ms']:,} ms", units.commas(one["grants"])] for number, one in enumerate(ledger["restarts"], 1)]
    return (_table("--fail-if", ["threshold", "measured", ""], thresholds) + _table("Identities", ["identity", "left", "right", "of", ""], rows) +
            _table("Restarts of the server", ["", "killed by", "served again after", "grants in the ledger"], restarts))


def summary(report):
    """What stands beside the charts; strings only, nothing of it is HTML."""
    return {
        "verdict": "interrupted" if report["interrupted"] else report["verdict"],
        "reasons": report["reasons"],
        "command": report["command"],
        "environment": report["environment"],
        "tables": _phases(report) + _latencies(report) + _money(report) + _resources(report) + _judged(report),
        "images": [],
    }


def evening(report, command, environment):
    """The summary of a --ten-billion: its parts instead of phases."""
    parts = [[str(number), units.commas(part["answered"]), units.commas(part["late"]), units.commas(part["won"]), units.yuan(part["won_fen"]),
              f"{part['seconds']:,.0f}", f"{part['answered'] / max(part['seconds'], 1e-3) / 1e6:.2f}",
              *(units.ms(part["latency_us"].get(key)) for key, _ in _PERCENTILES)] for number, part in enumerate(report["parts"], 1)]
    head = ["part", "answered", "late", "wins", "yuan", "seconds", "million/s", *(f"{name} ms" for _, name in _PERCENTILES)]
    identities = [[one["name"], f"{one['left']:,}", f"{one['right']:,}", "holds" if one["holds"] else "BROKEN"] for one in report["identities"]]
    return {"verdict": report["verdict"], "reasons": [f"{one['name']}: {one['left']:,} != {one['right']:,}" for one in report["identities"] if not one["holds"]],
            "command": command, "environment": environment,
            "tables": _table("Parts", head, parts) + _table("Identities", ["identity", "left", "right", ""], identities), "images": []}


def document(told, rows, title):
    """`told`: a summary."""
    return {"role": "report", "title": title, "columns": seconds.COLUMNS, "rows": seconds.values(rows), "summary": told}


def fill(template, data):
    """The template with the data in its place, as JSON that no HTML parser trips over; ValueError if it has no place for it."""
    if template.count(MARKER) != 1:
        raise ValueError(f"the template has no {MARKER}")
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return template.replace(MARKER, text)


def _plain_table(table):
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)  # noqa: E731
    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in table["rows"])
    return f"<h2>{html.escape(table['caption'])}</h2>\n<table>\n<tr>{cells('th', table['head'])}</tr>\n{body}</table>\n"


def plain(data):
    """The same without charts, for a build that has no page."""
    told = data["summary"]
    known = [i for i, name in enumerate(data["columns"]) if any(row[i] is not None for row in data["rows"])]
    tables = [*told["tables"], {"caption": "Environment", "head": ["", ""], "rows": told["environment"]},
              {"caption": "Second by second", "head": [data["columns"][i] for i in known],
               "rows": [["" if row[i] is None else row[i] for i in known] for row in data["rows"]]}]
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in told["reasons"])
    return (f"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
            f"<title>{html.escape(data['title'])}</title>\n<style>body{{font:15px sans-serif;margin:1em}}table{{border-collapse:collapse;display:block;"
            "overflow-x:auto}td,th{border:1px solid #999;padding:2px 8px;text-align:right}td:first-child,th:first-child{text-align:left}</style></head>\n"
            f"<body><h1>{html.escape(data['title'])}</h1>\n<p><strong>{html.escape(told['verdict'].upper())}</strong></p><ul>{reasons}</ul>\n"
            f"<p>Repeat with: <code>{html.escape(told['command'])}</code></p>\n" + "".join(map(_plain_table, tables)) + "</body></html>\n")


def write(path, build, data):
    """Writes report.html. Returns what there is to say, or ''."""
    said = ""
    try:
        with open(os.path.join(build, TEMPLATE), encoding="utf-8") as file:
            text = fill(file.read(), data)
    except (OSError, ValueError) as error:
        said = f"report.html has tables only: {TEMPLATE}: {error.strerror if isinstance(error, OSError) else error}"
        text = plain(data)
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".partial", path)
    return said
