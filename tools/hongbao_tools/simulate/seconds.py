"""One row a second of the whole run, in the words of libhongbao/watch/columns.json: from the monitor's CSV file where it is there,
and from what the programs themselves wrote down. For the plots, the page and the rows of --json. Pure but for reading the file."""

import csv

from ..common import columns
from ..common.documents import get

COLUMNS = columns.NAMES


def _merged(facts, server, clients):
    """One column of several programs' rows: the clients' figure where clients know it, else the server's."""
    name, worst = facts["name"], facts.get("merge") == "worst"
    if facts.get("from"):  # another's: tools/nic_monitor tells the monitor
        return None
    for rows in (clients, [server] if server is not None else []):
        known = [row[name] for row in rows if row.get(name) is not None]
        if known:
            return max(known) if worst else sum(known)
    return None


def joined(second, server, clients, hosts, totals):
    """The row of one second from the programs' own rows of it (None or left out: it has none). `hosts`: how many programs there
    are; `totals`: {"given": fen, "got": fen} so far, brought up to date here."""
    told = ([server] if server is not None else []) + clients
    row = {facts["name"]: _merged(facts, server, clients) for facts in columns.FACTS}
    totals["given"] += row["given_fen"] or 0
    totals["got"] += row["got_fen"] or 0
    row.update(unix_s=second, hosts=len(told), silent=hosts - len(told), given_total_fen=totals["given"], got_total_fen=totals["got"])
    if server is not None:
        row["difference_fen"] = totals["given"] - totals["got"]
    return row


def from_programs(server, clients, restarts=()):
    """Rows by second from the programs' reports (None: that program left none). `restarts`: the times (unix) at which a server's
    process was gone, with what it gave in its last moments: from then on only the ledger knows the difference."""
    by_second = {}
    for index, report in enumerate([server, *clients]):
        for told in get(report, "series", []):
            by_second.setdefault(told["unix_s"], {})[index] = told
    totals, rows = {"given": 0, "got": 0}, []
    for second in sorted(by_second):
        found = by_second[second]
        row = joined(second, found.get(0), [found[index] for index in sorted(found) if index > 0], 1 + len(clients), totals)
        if any(second + 1 >= at for at in restarts):
            row.update(given_total_fen=None, difference_fen=None)
        rows.append(row)
    return rows


def from_monitor(path):
    """Rows of the monitor's CSV file; [] when it is not there or is none. A line that was cut short is left out."""
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                row = {name: int(line[name]) if line.get(name) else None for name in COLUMNS}
                if row["unix_s"] is not None and None not in line.values():
                    rows.append(row)
    except (OSError, ValueError, csv.Error):
        pass
    return sorted(rows, key=lambda row: row["unix_s"])


def merged(first, second):
    """The rows of `first`, with what it does not know, and the seconds it has not seen, from `second`."""
    rows = {row["unix_s"]: row for row in second}
    for row in first:
        other = rows.get(row["unix_s"], {})
        rows[row["unix_s"]] = {name: other.get(name) if row[name] is None else row[name] for name in COLUMNS}
    return [rows[at] for at in sorted(rows)]


def values(rows):
    """[[value, ...], ...] in the columns' order, None for what is not known."""
    return [[row.get(name) for name in COLUMNS] for row in rows]
