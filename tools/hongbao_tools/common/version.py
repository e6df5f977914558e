"""The version of the project, from the one place that says it: meson.build."""

import re

from .paths import ROOT


def _read():
    found = re.search(r"^project\(.*?\bversion: '([^']+)'", (ROOT / "meson.build").read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(f"{ROOT / 'meson.build'} does not say the project's version")
    return found.group(1)


VERSION = _read()
