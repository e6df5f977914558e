"""The version of the project, from the one place that says it: meson.build."""

import pathlib
import re

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _read():
    found = re.search(r"^project\(.*?\bversion: '([^']+)'", (_ROOT / "meson.build").read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(f"{_ROOT / 'meson.build'} does not say the project's version")
    return found.group(1)


VERSION = _read()
