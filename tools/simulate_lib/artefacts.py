"""What a run leaves in its folder, all of it made after the end: report.json, series.csv, latency.hgrm, the plots, report.html."""

import os

from . import environment, hgrm, html_report, plots, report, seconds, series, show

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _rows(story, folder, server, clients):
    restarts = [restart.at_unix_s for restart in report.restarts_of(story)]
    return seconds.merged(seconds.from_monitor(os.path.join(folder, "monitor.csv")), seconds.from_programs(server, clients, restarts))


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
    files = ["report.json", "series.csv", *_latency(folder, present)]
    made, said = plots.draw(folder, rows, document["phases"], f"{story.options.users:,} users")
    told = html_report.write(os.path.join(folder, "report.html"), story.build, html_report.document(document, rows, title(story)))
    for words in (said, told):
        if words:
            show.note(words)
    return document, exit_code, [*files, "report.html", *made]
