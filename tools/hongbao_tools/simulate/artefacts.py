"""What a run leaves in its folder, all of it made after the end: report.json, series.csv, latency.hgrm, the plots, report.html."""

import os

from ..common import exit_codes
from . import environment, hgrm, html_report, plots, report, seconds, series, show, watching



def _rows(story, folder, server, clients):
    """What the programs wrote down themselves is whole, if all of them lived to write it; else the monitor saw more of it. Of the
    cards only the monitor knows."""
    restarts = [restart.at_unix_s for restart in report.restarts_of(story)]
    own = seconds.from_programs(server, clients, restarts)
    told = seconds.from_monitor(os.path.join(folder, watching.CSV)) if story.watch else []  # else it is an earlier run's
    whole = not restarts and server is not None and None not in clients
    return seconds.merged(own, told) if whole else seconds.merged(told, own)


def _latency(folder, clients):
    histogram = hgrm.of_clients(clients, "schedule")
    path = os.path.join(folder, "latency.hgrm")
    if histogram is None or histogram.count == 0:
        if os.path.exists(path):
            os.remove(path)  # an earlier run's
        return []
    with open(path, "w", encoding="ascii") as file:
        file.write(hgrm.text(histogram))
    return ["latency.hgrm"]


def title(story):
    return f"hongbao, {story.options.users:,} users"


def write(story, folder, trouble, interrupted, hurry=False):
    """Returns (report.json's document, exit code, names of the files). `hurry`: no more than the figures, somebody waits to leave."""
    server, clients = report.collect(story)
    about = environment.gather(story.build, story.processors, story.facts)
    document, exit_code = report.build(story, server, clients, about, trouble, interrupted)
    files = []
    try:
        _write(story, folder, document, server, clients, hurry, files)
    except OSError as error:
        show.say(f"tools/simulate: error: cannot write {error.filename or f'all of {folder}'}: {error.strerror}")
        document["exit_code"] = exit_code = exit_code or exit_codes.COULD_NOT
        what = f"the disk of {folder} is full" if report.disk_full(folder, [error.strerror]) else f"not all of the report could be written: {error.strerror}"
        if not any(what in reason for reason in document["reasons"]):
            document["reasons"].insert(0, what)
    return document, exit_code, files


def _write(story, folder, document, server, clients, hurry, files):
    """Adds each file's name to `files` once it is written."""
    present = [client for client in clients if client is not None]
    report.write(os.path.join(folder, "report.json"), document)
    files.append("report.json")
    series.write(os.path.join(folder, "series.csv"), server, present)
    files.append("series.csv")
    if hurry:
        return
    rows = _rows(story, folder, server, clients)
    files += [watching.CSV] if story.watch and os.path.exists(os.path.join(folder, watching.CSV)) else []
    files += _latency(folder, present)
    made, said = plots.draw(folder, rows, document["phases"], f"{story.options.users:,} users")
    told = html_report.write(os.path.join(folder, "report.html"), story.build, html_report.document(html_report.summary(document), rows, title(story)))
    files += ["report.html", *made]
    for words in (said, told):
        if words:
            show.note(words)
