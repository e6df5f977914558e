"""One row a second of the whole run, in the words of libhongbao/watch/second_row.h: from the monitor's CSV file where it is there,
and from what the programs themselves wrote down. For the plots, the page and the rows of --json. Pure but for reading the file."""

import csv

from ..common.documents import get

# As second_row.h has them, in its order; a test compares the two.
COLUMNS = ("unix_s,hosts,silent,users,connections,target,sent,answered,received,missed,late,lost,won,nothing,cap,overload,p50_us,p90_us,"
           "p99_us,p999_us,max_us,issued,opened,given_fen,got_fen,given_total_fen,got_total_fen,difference_fen,server_cpu_pct,"
           "client_cpu_pct,server_rss_bytes,client_rss_bytes,rx_packets,tx_packets,rx_bytes,tx_bytes,dropped,retransmitted,superseded").split(",")
_LATENCIES = ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")


def _whole(value):
    return None if value is None else int(round(value))


def _sum(rows, name):
    known = [row[name] for row in rows if row.get(name) is not None]
    return sum(known) if known else None


def _fen(row):
    return (row.get("won_fen") or 0) + (row.get("opened_fen") or 0)


def joined(second, server, clients, hosts, totals):
    """The row of one second from the programs' own rows of it (None or left out: it has none). `hosts`: how many programs there
    are; `totals`: {"given": fen, "got": fen} so far, brought up to date here."""
    told = ([server] if server is not None else []) + clients
    row = dict.fromkeys(COLUMNS)
    row.update(unix_s=second, hosts=len(told), silent=hosts - len(told))
    if server is not None:
        totals["given"] += _fen(server)
        row.update(connections=server.get("connections"), received=server.get("requests"), issued=server.get("issued"),
                   opened=server.get("opened"), won=server.get("won"), given_fen=_fen(server), server_cpu_pct=_whole(server.get("cpu_pct")),
                   server_rss_bytes=server.get("rss_bytes"))
    if clients:
        totals["got"] += sum(map(_fen, clients))
        row.update({name: _sum(clients, name) for name in ("target", "sent", "answered", "missed", "late", "lost", "won", "nothing", "cap",
                                                           "overload", "superseded")})
        row.update(users=_sum(clients, "online"), got_fen=sum(map(_fen, clients)), client_cpu_pct=_whole(_sum(clients, "cpu_pct")),
                   client_rss_bytes=_sum(clients, "rss_bytes"))
        if row["answered"]:  # of several clients the worst
            row.update({name: _whole(max((one.get(name) or 0) for one in clients)) for name in _LATENCIES})
    row.update(given_total_fen=totals["given"], got_total_fen=totals["got"])
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
