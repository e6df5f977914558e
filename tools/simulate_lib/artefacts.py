"""What a run leaves in its folder, all of it made after the end: report.json, series.csv, latency.hgrm, the plots, report.html."""

import os

from . import environment, hgrm, html_report, plots, report, seconds, series, show, watching

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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


def write(story, folder, trouble, interrupted, hurry):
    """Returns (report.json's document, exit code, names of the files). `hurry`: no more than the figures, somebody waits to leave."""
    server, clients = report.collect(story)
    present = [client for client in clients if client is not None]
    about = environment.gather(ROOT, story.build, story.processors, story.facts)
    document, exit_code = report.build(story, server, clients, about, trouble, interrupted)
    report.write(os.path.join(folder, "report.json"), document)
    series.write(os.path.join(folder, "series.csv"), server, present)
    if hurry:
        return document, exit_code, ["report.json", "series.csv"]
    rows = _rows(story, folder, server, clients)
    kept = [watching.CSV] if story.watch and os.path.exists(os.path.join(folder, watching.CSV)) else []
    files = ["report.json", "series.csv", *kept, *_latency(folder, present)]
    made, said = plots.draw(folder, rows, document["phases"], f"{story.options.users:,} users")
    told = html_report.write(os.path.join(folder, "report.html"), story.build, html_report.document(html_report.summary(document), rows, title(story)))
    for words in (said, told):
        if words:
            show.note(words)
    return document, exit_code, [*files, "report.html", *made]
