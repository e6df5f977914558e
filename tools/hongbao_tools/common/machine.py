"""What the tools say of the machine and of a build beside their figures."""

import json
import os
import platform


def processor_model():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()


def build_options(build):
    """meson's options of a build that change what its code does; empty where meson has not left them."""
    try:
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
            options = {option["name"]: option["value"] for option in json.load(file)}
        return {name: options[name] for name in ("buildtype", "b_sanitize", "b_lto", "cpp_args") if name in options}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
