"""The exit codes of the tools and of the programs that they run. What each means for one tool is in its --help."""

DONE = 0
COULD_NOT = 1           # it could not do all that was asked, or could not write its output
FAULTS_FOUND = 1        # of a tool that looks for faults (tools/doctor, tools/tidy)
WRONG_USAGE = 2
BAD_VERDICT = 3         # the work is done, and its answer is no: a threshold does not hold, a run is worse, a token is not good
DOES_NOT_RECONCILE = 4  # money or requests
HELP_PRINTED = 9        # of --check-usage alone: help or version was asked for
INTERRUPTED = 130       # by SIGINT
TERMINATED = 143        # by SIGTERM


def of_signal(number):
    return 128 + number
