"""What figures depend on beside the code: the machine, the build, the revision, and what else is running."""

import os
import platform
import subprocess

from ..common.machine import build_options, processor_model
from ..common.paths import ROOT


def _git(*arguments):
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or not a clone


def as_released(options):
    return options.get("buildtype") in ("debugoptimized", "release") and options.get("b_sanitize", "none") in ("none", [])


def load():
    return round(os.getloadavg()[0], 2)


def describe(build):
    revision = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "cpu": processor_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "git_revision": revision,
        "git_changed": None if changed is None else bool(changed),
        "build": build_options(build),
    }
