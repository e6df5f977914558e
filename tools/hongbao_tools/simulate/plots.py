"""The five plots of the 2017 run as PNG files, drawn by gnuplot where it is installed: the rate of both sides, of the clients, of the
server, envelopes, and money. `script` is pure: rows in, a whole gnuplot script out, with each line's data in a block of its own."""

import contextlib
import dataclasses
import math
import os
import shutil
import subprocess
from typing import Callable, Tuple

CLIENT, SERVER, TARGET, THIRD, TROUBLE = "#1f77b4", "#e6550d", "#222222", "#2ca02c", "#d62728"
WIDTH, FIRST_HEIGHT, NEXT_HEIGHT = 1200, 400, 280  # pixels; heights of the panels alone
ABOVE, BETWEEN, BELOW = 66, 76, 92                 # the title and the phases' names; tics and legend; and the axis's name
LEAD_S = 3        # seconds before the first phase that are drawn
LABELS_MAX = 14   # phases that are named above the plot; more would overlap
TIMEOUT_S = 60


@dataclasses.dataclass(frozen=True)
class Line:
    title: str
    value: Callable  # row -> number or None
    colour: str
    width: float = 1.6
    dash: int = 1    # gnuplot's dashtype


@dataclasses.dataclass(frozen=True)
class Panel:
    unit: str
    lines: Tuple[Line, ...]
    floor: bool = True  # the axis begins at 0


@dataclasses.dataclass(frozen=True)
class Plot:
    name: str
    title: str
    panels: Tuple[Panel, ...]


def _column(name):
    return lambda row: row.get(name)


def _yuan(name):
    return lambda row: None if row.get(name) is None else row[name] / 100


def _behind(name):
    """Of a column: what lies behind another line that may cover it, drawn broad."""
    return {"value": _column(name), "width": 5.0}


PLOTS = (
    Plot("plot-qps.png", "Requests of both sides", (Panel("requests/s", (
        Line("clients: sent", colour="#9ecae1", **_behind("sent")), Line("server: received", _column("received"), SERVER),
        Line("target", _column("target"), TARGET, 1.2, 2))),)),
    Plot("plot-client-qps.png", "Clients: requests sent and answered", (Panel("requests/s", (
        Line("sent", colour="#9ecae1", **_behind("sent")), Line("answered", _column("answered"), CLIENT),
        Line("missed", _column("missed"), TROUBLE), Line("target", _column("target"), TARGET, 1.2, 2))),)),
    Plot("plot-server-qps.png", "Server: requests received", (Panel("requests/s", (Line("received", _column("received"), SERVER),)),)),
    Plot("plot-envelopes.png", "Shake envelopes issued and won, gift shares opened", (Panel("envelopes/s", (
        Line("issued (server)", colour="#fdae6b", **_behind("issued")), Line("won (clients)", _column("won"), CLIENT),
        Line("gift shares opened", _column("opened"), THIRD))),)),
    Plot("plot-money.png", "Money given and got", (
        Panel("yuan/s", (Line("given by the server", _yuan("given_fen"), "#fdae6b", 5.0), Line("got by the clients", _yuan("got_fen"), CLIENT))),
        Panel("yuan", (Line("difference since the start: under way", _yuan("difference_fen"), TROUBLE),), floor=False))),
)


def drawn(rows, phases):
    """(rows from just before the first phase on, the second that is 0)."""
    if not rows:
        return [], 0
    start = phases[0]["start_unix_s"] if phases else rows[0]["unix_s"]
    return [row for row in rows if row["unix_s"] >= start - LEAD_S] or rows, start


def points(rows, value, start):
    """'x y' lines of one data block, for gnuplot's steps: what is counted from x to x + 1. Where seconds or values are lacking the
    line is broken."""
    lines, before = [], None  # the second before and its value, as text
    for row in rows:
        x, y = row["unix_s"] - start, value(row)
        if before is not None and (y is None or x != before[0] + 1):
            lines += [f"{before[0] + 1} {before[1]}", ""]
            before = None
        if y is not None:
            before = x, f"{y:.10g}"
            lines.append(f"{x} {before[1]}")
    return lines + ([f"{before[0] + 1} {before[1]}"] if before is not None else [])


def tics(low, high):
    """Round numbers from `low` to `high`, at most 8, as gnuplot's ("1,000" 1000, ...)."""
    step = 10 ** math.floor(math.log10((high - low) / 8))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 8)
    decimals = max(0, -math.floor(math.log10(step)))
    numbers = [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return ", ".join(f'"{number + 0:,.{decimals}f}" {number:.10g}' for number in numbers)


def _quoted(text):
    return '"' + "".join(c if c.isprintable() and c not in '"\\`' else " " for c in text) + '"'


def _marks(phases, start, last, labelled):
    """A line where each phase begins and where the last one ends, with the phase's name above the plot."""
    out = []
    for phase in phases:
        x = phase["start_unix_s"] - start
        out.append(f'set arrow from {x}, graph 0 to {x}, graph 1 nohead lc rgb "#bbbbbb" dt 3 back')
        if labelled and len(phases) <= LABELS_MAX:
            out.append(f"set label {_quoted(phase['name'])} at {x}, graph 1.03 left noenhanced font ',9' tc rgb \"#555555\"")
    if phases:
        end = phases[-1]["start_unix_s"] - start + phases[-1]["duration_s"]
        if end <= last:
            out.append(f'set arrow from {end}, graph 0 to {end}, graph 1 nohead lc rgb "#bbbbbb" dt 3 back')
    return out


def _axes(panel, rows):
    values = [y for line in panel.lines for y in map(line.value, rows) if y is not None]
    top, bottom = max([0, *values]), min([0, *values])
    span = top - bottom or 1  # nothing but zeros
    low = 0 if panel.floor and bottom == 0 else bottom - 0.08 * span
    high = top + 0.08 * span
    return [f"set yrange [{low:.10g}:{high:.10g}]", f"set ytics ({tics(low, high)})", f"set ylabel {_quoted(panel.unit)}"]


def _places(panels):
    """(the picture's height, [(top, bottom, legend) of each panel as a share of it, from below])."""
    heights = [FIRST_HEIGHT] + [NEXT_HEIGHT] * (panels - 1)
    whole = ABOVE + sum(heights) + BETWEEN * (panels - 1) + BELOW
    places, y = [], whole - ABOVE
    for number, height in enumerate(heights):
        last = number == panels - 1
        places.append((y / whole, (y - height) / whole, (y - height - (74 if last else 44)) / whole))
        y -= height + BETWEEN
    return whole, places


def _panel(panel, blocks):
    clauses = [f"{block} using 1:2 with steps lc rgb \"{line.colour}\" lw {line.width} dt {line.dash} title {_quoted(line.title)}"
               for block, line in zip(blocks, panel.lines)]
    return "plot " + ", \\\n     ".join(clauses)


def script(plot, rows, phases, path, subtitle=""):
    """The gnuplot script that draws `plot` into the file `path`, or None when there is nothing to draw: no row, or no value."""
    rows, start = drawn(rows, phases)
    if not any(line.value(row) is not None for row in rows for panel in plot.panels for line in panel.lines):
        return None
    first, last = min(rows[0]["unix_s"] - start, 0), rows[-1]["unix_s"] - start + 1
    out, blocks = [], {}
    for p, panel in enumerate(plot.panels):
        for n, line in enumerate(panel.lines):
            blocks[p, n] = f"$panel{p}_line{n}"
            # An empty block would be an error: one point that is not a number draws nothing.
            out += [f"{blocks[p, n]} << EOD", *(points(rows, line.value, start) or ["NaN NaN"]), "EOD"]
    height, places = _places(len(plot.panels))
    quote = "'"
    out += [f"set terminal pngcairo size {WIDTH},{height} font 'DejaVu Sans,11' noenhanced",
            f"set output '{path.replace(quote, quote * 2)}'", 'set datafile missing "NaN"', 'set grid ytics lc rgb "#e4e4e4" lt 1',
            'set border 3 lc rgb "#777777"', "set tics nomirror out", 'set xtics tc rgb "#333333"', 'set ytics tc rgb "#333333"',
            "set lmargin at screen 0.09", "set rmargin at screen 0.97", f"set xrange [{first}:{last}]", "set multiplot"]
    heading = plot.title + (f"   ({subtitle})" if subtitle else "")
    for p, (panel, (top, bottom, legend)) in enumerate(zip(plot.panels, places)):
        out += ["unset label", "unset arrow", *_marks(phases, start, last, p == 0)]
        out += [f"set title {_quoted(heading)} offset 0,0.8 font ',13'" if p == 0 else "unset title"]
        out += ['set xlabel "seconds since the first request was due"' if p == len(places) - 1 else "unset xlabel"]
        out += [f"set tmargin at screen {top:.4f}", f"set bmargin at screen {bottom:.4f}",
                f"set key at screen 0.53, screen {legend:.4f} center center horizontal samplen 3"]
        out += [*_axes(panel, rows), _panel(panel, [blocks[p, n] for n in range(len(panel.lines))])]
    return "\n".join([*out, "unset multiplot", "unset output", ""])


def draw(folder, rows, phases, subtitle=""):
    """Draws what can be drawn. Returns (names of the files made, what there is to say or '')."""
    for plot in PLOTS:  # those of an earlier run in the same folder
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, plot.name))
    gnuplot = shutil.which("gnuplot")
    if gnuplot is None:
        return [], "no PNG plots: gnuplot is not installed (apt-get install gnuplot-nox)"
    made, trouble = [], ""
    for plot in PLOTS:
        text = script(plot, rows, phases, os.path.join(folder, plot.name), subtitle)
        wrong = "nothing was counted for it" if text is None else _run(gnuplot, text, os.path.join(folder, plot.name))
        if wrong:
            trouble = trouble or f"no {plot.name}: {wrong}"
        else:
            made.append(plot.name)
    return made, trouble


def _run(gnuplot, text, path):
    """What went wrong, or ''."""
    try:
        done = subprocess.run([gnuplot, "-"], input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0 and os.path.isfile(path):
        return ""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    words = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return f"gnuplot ended with {done.returncode}: {words[-1].strip()}"
