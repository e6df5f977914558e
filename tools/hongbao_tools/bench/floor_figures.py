"""What tools/bench floor makes of its measurements: medians, spread, ratios, and the table. Pure: no processes, no clock."""

import statistics

# Key in a measurement, label, decimals.
FIGURES = (
    ("us_per_request", "server CPU, us/request", 2),
    ("p50_us", "latency p50, us", 0),
    ("p99_us", "latency p99, us", 0),
    ("p999_us", "latency p99.9, us", 0),
    ("saturated_per_s", "answered/s, saturated", 0),
    ("saturated_per_cpu_s", "answered per server CPU s", 0),
    ("saturated_refused_pct", "of them refused, %", 2),
)


def order(names, round_number):
    """The order of a round: another one begins in each, so that no server always has the best moment."""
    first = round_number % len(names)
    return [*names[first:], *names[:first]]


def measurement(fixed, saturated, latency_us):
    """One server's figures of one run. `fixed`, `saturated`: differences of two samples, see floor_run.difference."""
    return {
        "us_per_request": fixed["cpu_s"] / max(fixed["answered"], 1) * 1e6,
        "answered_per_s": fixed["answered"] / fixed["seconds"],
        "missed": fixed["missed"],
        "p50_us": latency_us["p50"],
        "p99_us": latency_us["p99"],
        "p999_us": latency_us["p999"],
        "saturated_per_s": saturated["answered"] / saturated["seconds"],
        "saturated_per_cpu_s": saturated["answered"] / max(saturated["cpu_s"], 0.01),
        "saturated_refused_pct": 100 * saturated["refused"] / max(saturated["answered"], 1),
        "saturated_cores": saturated["cpu_s"] / saturated["seconds"],
    }


def summarize(runs, names):
    """{name: {figure: {median, least, most, ratio}}} of the runs with one number of connections; each run has name, round, figures.
    The ratio to the first name is the median of the rounds' ratios: within a round both have met the same machine."""
    by = {(run["name"], run["round"]): run["figures"] for run in runs}
    rounds = sorted({run["round"] for run in runs})
    summary = {}
    for name in names:
        summary[name] = {}
        for key, _, _ in FIGURES:
            values = [by[name, number][key] for number in rounds]
            bases = [by[names[0], number][key] for number in rounds]
            ratios = [value / base for value, base in zip(values, bases) if base > 0]
            summary[name][key] = {"median": statistics.median(values), "least": min(values), "most": max(values),
                                  "ratio": statistics.median(ratios) if ratios else None}
    return summary


def table(summary, names):
    """Lines: one figure each, per server the median, the spread, and how many times the first server's it is."""
    lines = [f"{'':27}" + "".join(f"{name:>34}" for name in names)]
    for key, label, decimals in FIGURES:
        cells = []
        for name in names:
            found = summary[name][key]
            text = f"{found['median']:,.{decimals}f} ({found['least']:,.{decimals}f}-{found['most']:,.{decimals}f})"
            ratio = "" if name == names[0] else "      -" if found["ratio"] is None else f" {found['ratio']:5.2f}x"
            cells.append(f"{text + ratio:>34}")
        lines.append(f"{label:27}" + "".join(cells))
    return lines


def doubts(runs, fixed_qps, saturating_qps):
    """What a reader has to know before believing: a rate that was not held, a machine that was not saturated."""
    found = []
    for run in runs:
        figures, where = run["figures"], f"{run['name']}, round {run['round'] + 1}"
        if figures["missed"] or figures["answered_per_s"] < 0.98 * fixed_qps:
            found.append(f"{where}: {fixed_qps:,}/s was not held ({figures['answered_per_s']:,.0f}/s answered, "
                         f"{figures['missed']:,} missed): it is not below capacity now")
        if figures["saturated_per_s"] > 0.98 * saturating_qps:
            found.append(f"{where}: {saturating_qps:,}/s did not saturate it; ask for more with --saturate")
    return found
