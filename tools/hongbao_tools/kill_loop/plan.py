"""Which kill comes in which round. Pure: a seed in, the plan out."""

import dataclasses
import random

# Point -> how often, and the range of the passing at which HONGBAO_KILL_AT kills there. A second of load passes a few hundred claims
# and commits; a checkpoint comes when the log is long, about once in some seconds; a start passes `recovery` once, every
# order that is cancelled passes `cancel`.
POINTS = {
    "random": (45, None),
    "start": (8, None),
    "after_claim": (12, (1, 600)),
    "before_commit": (12, (1, 150)),
    "after_commit": (12, (1, 150)),
    "cancel": (6, (1, 2)),
    "recovery": (8, (1, 1)),
    "checkpoint": (3, (1, 1)),
}
FIRST = ("random", "after_claim", "before_commit", "after_commit", "recovery", "start", "cancel", "checkpoint")  # each once, even in a short loop
MOMENT_S = (0.05, 1.3)   # of a random kill, after the server is ready
START_S = (0.0, 0.06)    # of a kill during the start
PATIENCE_S = {"checkpoint": 25.0}  # until a point must have been passed; then the round ends by a plain kill
PATIENCE_DEFAULT_S = 6.0


@dataclasses.dataclass(frozen=True)
class Kill:
    point: str
    after_s: float = 0.0  # random: since ready; start: since the process was made
    passing: int = 0

    @property
    def environment(self):
        return {"HONGBAO_KILL_AT": f"{self.point}:{self.passing}"} if self.passing else {}

    @property
    def patience_s(self):
        return PATIENCE_S.get(self.point, PATIENCE_DEFAULT_S)


def plan(rounds, seed):
    """One Kill for each round."""
    draw = random.Random(seed)
    names, weights = zip(*((name, weight) for name, (weight, _) in POINTS.items()))
    first = list(FIRST)
    draw.shuffle(first)
    points = (first + draw.choices(names, weights, k=rounds))[:rounds]
    kills = []
    for point in points:
        passings = POINTS[point][1]
        moment = draw.uniform(*(START_S if point == "start" else MOMENT_S))
        passing = draw.randint(*passings) if passings else 0
        kills.append(Kill(point, 0.0 if passings else moment, passing))
    return kills
