"""What repeated measurements say: medians, spreads, ratios with their noise, and how far each reach is."""

import dataclasses
import math
import statistics
from typing import Optional

SAMPLES_FOR_NOISE = 3
NOISE_MIN = 0.01  # nobody's clock, cache and neighbours are quieter than that


def median(samples):
    return statistics.median(samples)


def spread(samples):
    """Half the distance between the quartiles, as a share of the median: one bad round in five does not move it. None: too few."""
    if len(samples) < SAMPLES_FOR_NOISE:
        return None
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / 2 / median(samples)


@dataclasses.dataclass
class Ratio:
    value: float             # of the medians, second to first
    noise: Optional[float]   # as a share; None: too few samples to tell

    @property
    def word(self):
        if self.noise is None:
            return "noise unknown"
        if abs(self.value - 1) <= self.noise:
            return "within the noise"
        return "faster" if self.value < 1 else "slower"


def ratio(first, second):
    """How the second's time relates to the first's. The noise is about two standard errors of a ratio of medians: half a quartile
    distance is 0.67 standard deviations, a median of five has 0.54 of them for its error, and there are two medians."""
    spreads = spread(first), spread(second)
    noise = None if None in spreads else max(2 * math.hypot(*spreads), NOISE_MIN)
    return Ratio(median(second) / median(first), noise)


@dataclasses.dataclass(frozen=True)
class Reach:
    """A row and what it has to come to: a time, or the speed of the fastest row that is named like it but for the last part."""
    what: str
    program: str
    row: str
    at_most_ns: Optional[float] = None


REACHES = (
    Reach("a losing shake", "serve/session", "LosingShake/plain/1", at_most_ns=15),
    Reach("a win without ledger", "serve/session", "WinningShake/1", at_most_ns=60),
    Reach("an empty poll", "envelope/lucky_pool", "empty_poll_by_1_thread/lucky_pool", at_most_ns=2),
    Reach("a claim by 2 threads", "envelope/lucky_pool", "claim_by_2_threads/lucky_pool"),
)


def _against_peers(reach, medians):
    stem = reach.row.rsplit("/", 1)[0]
    peers = {row: value for (program, row), value in medians.items()
             if program == reach.program and row != reach.row and row.rsplit("/", 1)[0] == stem}
    if not peers:
        return None
    fastest = min(peers, key=peers.get)
    times = peers[fastest] / medians[(reach.program, reach.row)]
    return {"measured": times, "reach": 1.0, "met": times >= 1.0, "peer": fastest.rsplit("/", 1)[1]}


def reaches(medians):
    """(program, row) -> what came of its reach, for the rows of the list that were measured. `medians` by (program, row), in ns."""
    out = {}
    for reach in REACHES:
        key = (reach.program, reach.row)
        if key not in medians:
            continue
        if reach.at_most_ns is not None:
            result = {"measured": medians[key], "reach": reach.at_most_ns, "met": medians[key] <= reach.at_most_ns}
        else:
            result = _against_peers(reach, medians)
        if result is not None:
            out[key] = {"what": reach.what, **result}
    return out


def reach_text(result):
    verdict = "met" if result["met"] else "MISSED"
    if "peer" in result:
        return f"{result['measured']:.2f}x the fastest peer ({result['peer']}), reach {result['reach']:.1f}x: {verdict}"
    return f"reach {result['reach']:g} ns: {verdict}"


def time_text(nanoseconds):
    """Three digits and a unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}" if nanoseconds < 1000 * size else f"{nanoseconds / size:,.0f} {unit}"
    return f"{nanoseconds:.3g} ns"


def share_text(share):
    return "?" if share is None else f"+-{100 * share:.{0 if share >= 0.095 else 1}f} %"
