"""The command line of tools/kill_loop."""

import dataclasses
import random
from typing import Optional

from ..common.command_line import Parser, count


@dataclasses.dataclass
class Options:
    rounds: int
    seed: int
    users: int
    qps: int
    check_every: int
    folder: Optional[str]
    keep: bool


def _parser():
    parser = Parser(
        prog="tools/kill_loop",
        description="Kills the server (SIGKILL) again and again while its users win and open, starts it on the same\n"
        "ledger, and proves that every reply a client saw is in the ledger with the same fen, that every\n"
        "grant reached its client once, and that all sums close.",
        epilog="""notes:
  The kills: at a random moment under load; at a named point of the ledger (HONGBAO_KILL_AT) at a
  random passing; during the start. The file is read, while the server is dead, by an independent
  reader on a copy. On a failure the folder is kept, and the seed repeats the plan of the kills.

exit codes:
  0    pass
  1    could not run
  2    wrong usage
  4    money was lost, doubled or does not add up
  130  interrupted""")
    add = parser.add_argument
    add("--rounds", metavar="N", help="kills (default 20)")
    add("--seed", metavar="N", help="seed of the plan (default: from the clock, printed)")
    add("--users", metavar="N", help="simulated users (default 500); a tenth more are invited to gifts and never come")
    add("--qps", metavar="N", help="requests/s of all users together (default 3k)")
    add("--check-every", metavar="N", help="rounds between two looks into the file (default 10); there is one at the end in any case")
    add("--folder", metavar="DIR", help="folder for ledger, logs and reports, kept at the end (default: one under $TMPDIR, removed)")
    add("--keep", action="store_true", help="keep the folder in any case")
    return parser


def parse(arguments):
    """Options from the command line; UsageError for a wrong one; SystemExit(0) after --help and --version."""
    values = _parser().parse_args(arguments)
    return Options(
        rounds=count(values, "rounds", 20, 1, 1_000_000),
        seed=count(values, "seed", random.SystemRandom().randrange(1, 10**9), 0, 2**63 - 1),
        users=count(values, "users", 500, 10, 100_000),
        qps=count(values, "qps", 3_000, 10, 1_000_000),
        check_every=count(values, "check_every", 10, 1, 1_000_000),
        folder=values.folder,
        keep=values.keep or values.folder is not None,
    )
