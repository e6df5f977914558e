"""series.csv: one row per second and role, columns fixed for ever (new ones only at the right)."""

import csv
import socket

from ..common.documents import get

# Each with the client's figure of a second, and the server's.
_SOURCES = {
    "users": ("users", "users"), "target": ("target", None), "sent": ("sent", "received"), "answered": ("answered", "answered"),
    "missed": ("missed", None), "won": ("won", "won"), "nothing": ("nothing", "nothing"), "refused": ("refused", "refused"),
    "lost": ("lost", None), "p50_us": ("p50_us", None), "p99_us": ("p99_us", None), "p999_us": ("p999_us", None),
    "max_us": ("max_us", None), "lag_us": ("lag_us", None), "given_fen": (None, "given_fen"), "got_fen": ("got_fen", None),
    "cpu_pct": ("client_cpu_pct", "server_cpu_pct"), "rss_bytes": ("client_rss_bytes", "server_rss_bytes"),
}
COLUMNS = ["unix_s", "role", "host", *_SOURCES]


def _row(told, role, host):
    own = 0 if role == "client" else 1
    return {"unix_s": told.get("unix_s"), "role": role, "host": host,
            **{name: told.get(names[own], "") for name, names in _SOURCES.items()}}


def rows(server, clients):
    """All rows, by second, the server's first."""
    host = socket.gethostname()
    found = [_row(row, "server", host) for row in get(server, "series", [])]
    for index, client in enumerate(clients):
        name = host if len(clients) == 1 else f"{host}:{index}"
        found += [_row(row, "client", name) for row in get(client, "series", [])]
    return sorted(found, key=lambda row: (row["unix_s"], row["role"] != "server", row["host"]))


def write(path, server, clients):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows(server, clients):
            writer.writerow(row)
