"""A second as a row for people, a CSV line or a JSON line; and the summary at the end."""

import json
import time

from . import counters

_HEADER = (f"{'second':>8} {'interface':>10} {'rx/s':>9} {'tx/s':>9} {'rx MB/s':>8} {'tx MB/s':>8} {'drops':>6} | {'softirq rx':>10} {'tx':>6} "
           f"{'squeezed':>8} | {'tcp in/s':>9} {'out/s':>9} {'resent':>6} {'refused':>7} {'estab':>9}")
CSV_COLUMNS = ("unix_s", "interface", "seconds", *counters.INTERFACE_FIELDS, *counters.SYSTEM_FIELDS, "established")


def _per_second(second, value):
    return f"{value / second.seconds:,.0f}"


def rows(second):
    """One line an interface; the stack's figures are on the first."""
    clock = time.strftime("%H:%M:%S", time.localtime(second.unix_s))
    lines = []
    for name, fields in second.interfaces.items() or [("-", dict.fromkeys(counters.INTERFACE_FIELDS, 0))]:
        line = (f"{clock:>8} {name:>10} {_per_second(second, fields['rx_packets']):>9} {_per_second(second, fields['tx_packets']):>9} "
                f"{fields['rx_bytes'] / second.seconds / 1e6:>8.2f} {fields['tx_bytes'] / second.seconds / 1e6:>8.2f} "
                f"{fields['rx_dropped'] + fields['tx_dropped']:>6,} |")
        if not lines:
            system = second.system
            figures = [_per_second(second, system[field]) if field in system else "-" for field in
                       ("softirq_rx", "softirq_tx", "softnet_squeezed", "tcp_received", "tcp_sent", "tcp_retransmitted", "listen_dropped")]
            established = f"{second.established:,}" if second.established >= 0 else "-"
            line += (f" {figures[0]:>10} {figures[1]:>6} {figures[2]:>8} | {figures[3]:>9} {figures[4]:>9} {figures[5]:>6} {figures[6]:>7} "
                     f"{established:>9}")
        else:
            line += f" {'':>10} {'':>6} {'':>8} |"
        lines.append(line.rstrip())
    return lines


def csv_lines(second):
    """One line an interface; the stack's counts are on the first of a second only, so that each column may be added up."""
    lines = []
    for name, fields in second.interfaces.items() or [("", {})]:
        system = {} if lines else second.system
        values = [second.unix_s, name, f"{second.seconds:.3f}", *(fields.get(field, "") for field in counters.INTERFACE_FIELDS),
                  *(system.get(field, "") for field in counters.SYSTEM_FIELDS),
                  second.established if not lines and second.established >= 0 else ""]
        lines.append(",".join(map(str, values)))
    return lines


def json_line(second):
    return json.dumps({"unix_s": second.unix_s, "seconds": round(second.seconds, 3), "interfaces": second.interfaces, "system": second.system,
                       "established": second.established if second.established >= 0 else None})


def summary(book):
    """What was counted in all, for people."""
    lines = [f"summary    {book.count:,} rows over {book.seconds:,.1f} s"]
    for name, sums in book.interfaces.items():
        peaks, seconds = book.peaks[name], max(book.seconds, 0.001)
        lines.append(f"  {name:<8} rx {sums['rx_packets']:,} packets ({sums['rx_packets'] / seconds:,.0f}/s, at most {peaks['rx_packets']:,}/s), "
                     f"{sums['rx_bytes'] / 1e6:,.1f} MB; tx {sums['tx_packets']:,} packets ({sums['tx_packets'] / seconds:,.0f}/s, at most "
                     f"{peaks['tx_packets']:,}/s), {sums['tx_bytes'] / 1e6:,.1f} MB")
        lines.append(f"  {'':<8} dropped rx {sums['rx_dropped']:,} tx {sums['tx_dropped']:,}; errors rx {sums['rx_errors']:,} tx "
                     f"{sums['tx_errors']:,}")
    system = book.system
    lines.append("  stack    " + ", ".join(f"{field.replace('_', ' ')} {system[field]:,}" for field in counters.SYSTEM_FIELDS if field in system))
    return lines


def summary_json(book):
    return json.dumps({"summary": {"rows": book.count, "seconds": round(book.seconds, 3), "interfaces": book.interfaces, "peaks": book.peaks,
                                   "system": book.system}})


class Rows:
    """On stdout; the header again after 20 lines on a terminal."""

    def __init__(self, stream):
        self._stream = stream
        self._since_header = None

    def print(self, lines):
        if self._since_header is None or (self._stream.isatty() and self._since_header >= 20):
            print(_HEADER, file=self._stream)
            self._since_header = 0
        self._since_header += len(lines)
        print("\n".join(lines), file=self._stream, flush=True)
