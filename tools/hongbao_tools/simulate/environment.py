"""What a run was made on and with, as [[name, value], ...] in words: for the reader of a report who was not there."""

import os
import platform
import subprocess

from ..common import preflight, processors as probe, units
from ..common.machine import build_options, processor_model
from ..common.paths import ROOT


def _said(*command, cwd=None):
    """The first line a command says, or '' when it cannot."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=10, cwd=cwd, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""


def commit(root):
    """'530248b', with a mark when the tree has changes beyond it; '' outside a repository of its own."""
    if not os.path.exists(os.path.join(root, ".git")):
        return ""
    found = _said("git", "rev-parse", "--short", "HEAD", cwd=root)
    changed = found and _said("git", "status", "--porcelain", "--untracked-files=no", cwd=root)
    return found + (" and changes" if changed else "")


def _build_type(build):
    options = build_options(build)
    sanitize = options.get("b_sanitize", "none")
    return options.get("buildtype", "") + ("" if sanitize in ("none", []) else f", sanitized ({sanitize})")


def gather(build, measured, facts=None):
    """`measured`: processors.measure's, or None; `facts`: preflight.read_facts'. What cannot be found out is left out."""
    facts = facts or preflight.read_facts()
    found = [
        ["host", platform.node()],
        ["kernel", f"{platform.system()} {platform.release()} {platform.machine()}"],
        ["processors", f"{facts.cores} of {os.cpu_count()}, {processor_model()}"],
        ["processors' probe", probe.describe(measured) if measured else ""],
        ["memory available before", units.bytes_text(facts.memory_available)],
        ["open files, hard limit", f"{facts.files_hard:,}"],
        ["local ports", f"{facts.port_first}-{facts.port_last}"],
        ["somaxconn", f"{facts.somaxconn:,}"],
        ["SYN backlog", f"{facts.syn_backlog:,}"],
        ["buckets of the socket table", f"{facts.ehash_entries:,}" if facts.ehash_entries > 0 else ""],
        ["hongbao-server", _said(os.path.join(build, "server", "hongbao-server"), "--version")],
        ["hongbao-client", _said(os.path.join(build, "client", "hongbao-client"), "--version")],
        ["build", _build_type(build)],
        ["git commit", commit(ROOT)],
        ["liburing", _said("pkg-config", "--modversion", "liburing")],
        ["SQLite", _said("pkg-config", "--modversion", "sqlite3")],
        ["Python", platform.python_version()],
    ]
    return [pair for pair in found if pair[1]]
