"""What figures depend on beside the code: the machine, the build, the revision, and what else is running."""

import json
import os
import platform
import subprocess


def _cpu_model():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def _git(*arguments):
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or not a clone


def build_options(build):
    """The options that change what code is measured; empty where meson has not left them."""
    try:
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
        return {name: options[name] for name in ("buildtype", "b_sanitize", "b_lto", "cpp_args") if name in options}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def as_released(options):
    return options.get("buildtype") in ("debugoptimized", "release") and options.get("b_sanitize", "none") in ("none", [])


def load():
    return round(os.getloadavg()[0], 2)


def describe(build):
    revision = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "git_revision": revision,
        "git_changed": None if changed is None else bool(changed),
        "build": build_options(build),
    }
