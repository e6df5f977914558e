"""A web server that shows the live page over rows a test makes up, second by second; on 127.0.0.1 and a free port."""

import http.server
import importlib.util
import json
import os
import pathlib
import queue
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "libhongbao/watch/page"
DYGRAPHS = os.environ.get("HONGBAO_DYGRAPHS", "/usr/share/javascript/dygraphs")


def embed():
    spec = importlib.util.spec_from_file_location("embed", SOURCE / "embed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def live_page(role, title):
    told = json.dumps({"role": role, "title": title}).replace("<", "\\u003c")
    return embed().whole(SOURCE, DYGRAPHS, "live").replace("/*PAGE*/null", told)


def report_page(data):
    text = json.dumps(data).replace("<", "\\u003c")
    return embed().whole(SOURCE, DYGRAPHS, "report").replace("/*REPORT_DATA*/null", text)


def columns():
    """The columns' names, in their order."""
    return [column["name"] for column in json.loads((ROOT / "libhongbao/watch/columns.json").read_text(encoding="utf-8"))["columns"]]


class Host:
    def __init__(self, role="monitor", title="a page under test"):
        self.role, self.title, self.columns = role, title, columns()
        self.rows, self.streams, self.lock = [], [], threading.Lock()
        page = live_page(role, title).encode()
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *unused):
                pass

            def answer(self, kind, body):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/":
                    self.answer("text/html; charset=utf-8", page)
                elif self.path.startswith("/v1/history"):
                    self.answer("application/json", host.history(int(self.path.rpartition("=")[2])))
                elif self.path == "/events":
                    host.stream(self)
                else:
                    self.send_error(404)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def history(self, after):
        with self.lock:
            rows = [row for row in self.rows if row[0] > after]
        return json.dumps({"role": self.role, "title": self.title, "columns": self.columns, "rows": rows}).encode()

    def stream(self, handler):
        mine = queue.Queue()
        with self.lock:
            self.streams.append(mine)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b": here\n\n")
                handler.wfile.flush()
                row = mine.get()
                handler.wfile.write(f"id: {row[0]}\ndata: {json.dumps(row)}\n\n".encode())
                handler.wfile.flush()
        except OSError:
            pass

    def row(self, unix_s, **known):
        return [unix_s if name == "unix_s" else known.get(name) for name in self.columns]

    def publish(self, unix_s, **known):
        row = self.row(unix_s, **known)
        with self.lock:
            self.rows.append(row)
            for stream in self.streams:
                stream.put(row)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def lifelike(i):
    """Second i of a run as a monitor tells it: every column a load test moves."""
    wave = (i * 7919) % 997
    given = 33_000 + wave
    return {"hosts": 3, "silent": 1 if i % 400 in range(200, 206) else 0, "users": 1_000_000, "connections": 1_000_000, "target": 60_000,
            "sent": 60_000 - wave % 40, "answered": 59_990 - wave % 50, "received": 60_000 - wave % 45, "missed": wave % 3, "late": wave % 17,
            "lost": 0, "won": 4_200 + wave % 9, "nothing": 55_700, "cap": 3, "refused": 0, "p50_us": 90 + wave % 30, "p90_us": 210 + wave,
            "p99_us": 900 + 9 * wave, "p999_us": 2_000 + 30 * wave, "max_us": 4_000 + 90 * wave, "issued": 4_200, "opened": 60, "given_fen": given,
            "got_fen": given - wave % 7, "given_total_fen": given * (i + 1), "got_total_fen": given * (i + 1) - wave % 700,
            "difference_fen": wave % 700, "server_cpu_pct": 130 + wave % 20, "client_cpu_pct": 160 + wave % 25, "server_rss_bytes": 3_620_000_000,
            "client_rss_bytes": 2_100_000_000 + 1000 * i, "rx_packets": 121_000 + wave, "tx_packets": 121_000 + wave, "rx_bytes": 14_000_000,
            "tx_bytes": 14_000_000, "dropped": 0, "retransmitted": wave % 2}
