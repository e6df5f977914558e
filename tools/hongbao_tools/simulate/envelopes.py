"""How many envelopes come when the rate of requests is not one: of each kind, always the same share of the requests. Pure."""

ORDERS_MAX = 200  # of each kind, over a whole profile


def rates(steps, seconds):
    """The requests/s of each of the profile's seconds, from its steps [(second, requests/s), ...]."""
    found, rate = [], 0
    changes = dict(steps)
    for second in range(seconds):
        rate = changes.get(second, rate)
        found.append(rate)
    return found


def orders(profile, at_peak):
    """[(second, length, how many, envelopes/s)]: `at_peak` a second where the profile (requests/s by second) has its peak, in proportion
    elsewhere; what is less than one is carried on."""
    peak, length = max(profile, default=0), max(-(-len(profile) // ORDERS_MAX), 1)
    found, owed = [], 0.0
    for second in range(0, len(profile), length):
        part = profile[second:second + length]
        owed += at_peak * sum(part) / peak if peak else 0.0
        count = int(owed + 1e-9)
        if count:
            found.append((second, len(part), count, -(-count // len(part))))
            owed -= count
    return found
