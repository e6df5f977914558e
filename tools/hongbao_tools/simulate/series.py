"""series.csv: one row per second and role, columns fixed for ever (new ones only at the right)."""

import csv
import socket

from ..common.documents import get

COLUMNS = ("unix_s,role,host,users,target,sent,answered,missed,won,empty,overload,error,p50_us,p99_us,p999_us,max_us,lag_us,"
           "given_fen,got_fen,cpu_pct,rss_bytes").split(",")


def _first(row, *names):
    for name in names:
        if row.get(name) is not None:
            return row[name]
    return ""


def _fen(row):
    return row.get("won_fen", 0) + row.get("opened_fen", 0)


def _number(value):
    return int(round(value)) if isinstance(value, float) else value


def client_row(row, host):
    return {
        "unix_s": row.get("unix_s"), "role": "client", "host": host,
        "users": _first(row, "online", "connections"), "target": _first(row, "target"),
        "sent": _first(row, "sent"), "answered": _first(row, "answered"), "missed": _first(row, "missed"),
        "won": _first(row, "won"), "empty": _first(row, "nothing"), "overload": _first(row, "overload"),
        "error": _first(row, "lost"), "p50_us": _first(row, "p50_us"), "p99_us": _first(row, "p99_us"),
        "p999_us": _first(row, "p999_us"), "max_us": _first(row, "max_us"), "lag_us": _first(row, "lag_us"),
        "given_fen": "", "got_fen": _fen(row), "cpu_pct": _first(row, "cpu_pct"),
        "rss_bytes": _first(row, "rss_bytes"),
    }


def server_row(row, host):
    return {
        "unix_s": row.get("unix_s"), "role": "server", "host": host,
        "users": _first(row, "online", "connections"), "target": "", "sent": _first(row, "requests"),
        "answered": _first(row, "replied"), "missed": "", "won": _first(row, "won"),
        "empty": _first(row, "nothing"), "overload": _first(row, "overload"), "error": _first(row, "dropped"),
        "given_fen": _fen(row), "cpu_pct": _first(row, "cpu_pct"), "rss_bytes": _first(row, "rss_bytes"),
    }


def rows(server, clients):
    """All rows, by second, the server's first."""
    host = socket.gethostname()
    found = [server_row(row, host) for row in get(server, "series", [])]
    for index, client in enumerate(clients):
        name = host if len(clients) == 1 else f"{host}:{index}"
        found += [client_row(row, name) for row in get(client, "series", [])]
    return sorted(found, key=lambda row: (row["unix_s"], row["role"] != "server", row["host"]))


def write(path, server, clients):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows(server, clients):
            writer.writerow({key: _number(value) for key, value in row.items()})
