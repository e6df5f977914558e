"""Latency histograms of several clients added up, exactly, and HdrHistogram's percentile text of them: what count/histogram.h does,
from the buckets that clients put into their reports. Pure."""

import math

from ..common.documents import get

SUB_BUCKET_BITS, VALUE_BITS = 7, 42  # count/histogram.h
HIGHEST_NS = (1 << VALUE_BITS) - 1
TICKS = 5  # lines per halving of what is left above
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}


class Histogram:
    """counts: {largest ns of a bucket: how many}."""

    def __init__(self, counts, sum_ns, max_ns):
        self.counts = dict(sorted(counts.items()))
        self.count = sum(counts.values())
        self.sum_ns, self.max_ns = sum_ns, max_ns

    @property
    def mean_ns(self):
        return self.sum_ns / self.count if self.count else 0.0

    def edge_ns(self, high_ns):
        # The last bucket has no upper edge: what lies above the range is in it.
        return self.max_ns if high_ns >= HIGHEST_NS else min(high_ns, self.max_ns)

    def at_ns(self, quantile):
        """Smallest bucket edge with at least `quantile` of all values at or below it; 0 when empty."""
        rank, below = min(max(math.ceil(quantile * self.count), 1), max(self.count, 1)), 0
        for high_ns, count in self.counts.items():
            below += count
            if below >= rank:
                return self.edge_ns(high_ns)
        return 0

    def summary_us(self):
        return {"count": self.count, "mean": self.mean_ns / 1000, **{name: self.at_ns(quantile) / 1000 for name, quantile in QUANTILES.items()},
                "max": self.max_ns / 1000}


def of_clients(clients, kind):
    """The histogram of all clients' whole run ("schedule" or "service"), or None if one of them tells of none."""
    counts, sum_ns, max_ns = {}, 0.0, 0
    for client in clients:
        buckets = get(client, f"histogram_ns.{kind}", None)
        if buckets is None:
            return None
        for high_ns, count in buckets:
            counts[high_ns] = counts.get(high_ns, 0) + count
        told = get(client, f"latency_us.{kind}", {})
        sum_ns += told.get("mean", 0) * told.get("count", 0) * 1000
        max_ns = max(max_ns, round(told.get("max", 0) * 1000))
    return Histogram(counts, sum_ns, max_ns) if clients else None


def low_ns(high_ns):
    """The smallest value of the bucket whose largest is `high_ns`."""
    return high_ns - (1 << max(high_ns.bit_length() - SUB_BUCKET_BITS - 1, 0)) + 1


def text(histogram, unit_ns=1000.0):
    """The percentile distribution, as HistogramSnapshot::Hgrm writes it."""
    out = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
    variance, level, below, whole = 0.0, 0.0, 0, histogram.count
    for high_ns, count in histogram.counts.items():
        below += count
        from_mean = (low_ns(high_ns) + high_ns) / 2 - histogram.mean_ns
        variance += from_mean * from_mean * count / whole
        value = histogram.edge_ns(high_ns) / unit_ns
        while below < whole and level <= below / whole:
            out.append(f"{value:12.3f} {level:2.12f} {below:10d} {1 / (1 - level):14.2f}")
            level += 1 / (TICKS * 2.0 ** (math.floor(math.log2(1 / (1 - level))) + 1))
        if below == whole:
            out.append(f"{value:12.3f} {1:2.12f} {below:10d}")
    out += [f"#[Mean    = {histogram.mean_ns / unit_ns:12.3f}, StdDeviation   = {math.sqrt(variance) / unit_ns:12.3f}]",
            f"#[Max     = {histogram.max_ns / unit_ns:12.3f}, Total count    = {whole:12d}]",
            f"#[Buckets = {VALUE_BITS - SUB_BUCKET_BITS:12d}, SubBuckets     = {2 << SUB_BUCKET_BITS:12d}]", ""]
    return "\n".join(out)
