"""Who watches a server while tools/bench monitoring measures it: a hongbao-monitor, a reader of /events, a scraper."""

import http.client
import socket
import threading
import time

from ..common import processes


class Watched:
    """As a context: the server at `admin` (HOST:PORT) is watched, and a hongbao-monitor listens where it sends its records."""

    def __init__(self, admin, monitor_arguments, folder):
        self._admin = admin
        self._arguments = monitor_arguments
        self._folder = folder
        self._over = threading.Event()
        self._threads = []
        self._monitor = None
        self.records = self.events = self.scrapes = 0

    def __enter__(self):
        self._monitor = processes.Process("monitor", self._arguments, self._folder)
        try:
            self._monitor.wait_ready()
        except processes.Died:
            self._monitor.kill()
            raise
        for work in (self._read_events, self._scrape):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *error):
        try:
            self._over.set()
            for thread in self._threads:
                thread.join()
            self.records = sum(source["records"] for source in self._monitor.status()["sources"])
            self._monitor.terminate()
            self._monitor.wait(10)
        finally:
            self._monitor.kill()

    def check(self, seconds):
        """Died when the server was not watched each second: the figure would be of nothing."""
        seen = {"records": self.records, "events": self.events, "scrapes": self.scrapes}
        for what, number in seen.items():
            if number < seconds:
                raise processes.Died(f"only {number} {what} in {seconds} s: the server was not watched")

    def _read_events(self):
        host, port = self._admin.rsplit(":", 1)
        try:
            stream = socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            return  # check() tells
        with stream:
            stream.sendall(f"GET /events HTTP/1.1\r\nHost: {self._admin}\r\n\r\n".encode())
            stream.settimeout(0.5)
            while not self._over.is_set():
                try:
                    got = stream.recv(1 << 16)
                except TimeoutError:
                    continue
                if not got:
                    return
                self.events += got.count(b"data: ")

    def _scrape(self):
        host, port = self._admin.rsplit(":", 1)
        while not self._over.wait(1 - time.time() % 1):
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            try:
                connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
                self.scrapes += connection.getresponse().read().endswith(b"# EOF\n")
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
