"""Kernel settings made for hongbao: set now, written down for the next start in one file of our own, and undone.

The file is /etc/sysctl.d/60-hongbao.conf. No other file is ever written. It holds the values from before as comments, so that it is all
that undoing needs; they stay those of before the first --apply, however often it is repeated.
"""

import dataclasses
import os
import re

DROP_IN = "/etc/sysctl.d/60-hongbao.conf"
_HEADER = "# Written by hongbao's tools/doctor --apply."
_ENTRY = re.compile(r"([a-z0-9_.\-]+) = (.*)")


class CouldNot(Exception):
    """Why nothing was changed."""


@dataclasses.dataclass
class Setting:
    key: str
    value: str
    before: str


def quoted(value):
    return f"'{value}'" if " " in value or not value else value


def commands_to_undo(settings, path=DROP_IN):
    return [f"sysctl -w {s.key}={quoted(s.before)}" for s in settings] + [f"rm {path}"]


def text_of(settings, purpose):
    """The whole file."""
    lines = [_HEADER, f"# For {purpose}.", "#", "# To undo: tools/doctor --undo, or as root:"]
    lines += [f"#   {command}" for command in commands_to_undo(settings)]
    for setting in settings:
        lines += ["", f"# before: {setting.key} = {setting.before}", f"{setting.key} = {setting.value}"]
    return "\n".join(lines) + "\n"


def parse(text):
    """text_of's settings again; CouldNot for a file that is not ours."""
    if not text.startswith(_HEADER):
        raise CouldNot("it was not written by tools/doctor, and is left alone")
    settings, before = [], {}
    for line in filter(None, text.splitlines()):
        match = _ENTRY.fullmatch(line.removeprefix("# before: ") + (" " if line.endswith("=") else ""))
        if line.startswith("# before: ") and match:
            before[match.group(1)] = match.group(2).strip()
        elif not line.startswith("#"):
            if not match or match.group(1) not in before:
                raise CouldNot("it was changed by hand: nothing says " + (f"what {match.group(1)} was before" if match else f"what was before '{line}'"))
            settings.append(Setting(match.group(1), match.group(2).strip(), before[match.group(1)]))
    return settings


class Kernel:
    """The settings of this machine, or of one under `root`."""

    def __init__(self, root=""):
        self._root = root
        self.path = root + DROP_IN

    def _file(self, key):
        return f"{self._root}/proc/sys/" + key.replace(".", "/")

    def read(self, key):
        """As sysctl.conf writes it. OSError when there is no such setting."""
        with open(self._file(key), encoding="ascii") as file:
            return " ".join(file.read().split())

    def set(self, key, value):
        """OSError: why not."""
        with open(self._file(key), "w", encoding="ascii") as file:
            file.write(value + "\n")

    def kept(self):
        """The settings in our file; [] when there is none. CouldNot, OSError."""
        try:
            with open(self.path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            raise CouldNot(f"{self.path}: it was not written by tools/doctor, and is left alone") from None
        try:
            return parse(text)
        except CouldNot as error:
            raise CouldNot(f"{self.path}: {error}") from None

    def keep(self, settings, purpose):
        """Replaces our file in one step."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        new = f"{self.path}.new-{os.getpid()}"  # sysctl reads only *.conf
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text_of(settings, purpose))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, 0o644)
            os.replace(new, self.path)
        except BaseException:
            if os.path.exists(new):
                os.unlink(new)
            raise

    def forget(self):
        os.unlink(self.path)


def plan(kernel, findings):
    """What --apply would do: (settings for the file, those of them to set now, lines about what cannot be). CouldNot, OSError."""
    settings = kernel.kept()
    by_key = {setting.key: setting for setting in settings}
    to_set, lines = [], []
    for finding in findings:
        if not finding.sysctl:
            continue
        key, value = finding.sysctl
        try:
            now = kernel.read(key)
        except OSError as error:
            lines.append(f"cannot read {key}: {error.strerror}")
            continue
        if key in by_key:
            by_key[key].value = value
        else:
            by_key[key] = Setting(key, value, now)
            settings.append(by_key[key])
        to_set.append(by_key[key])
    return settings, to_set, lines


def apply(kernel, findings, purpose):
    """Returns (lines that say what was done, whether all of it could be). The file comes first: what was before is never lost."""
    settings, to_set, lines = plan(kernel, findings)
    failed = bool(lines)
    if not to_set:
        return lines, not failed
    was = {setting.key: kernel.read(setting.key) for setting in to_set}
    already = {setting.key: setting.value for setting in kernel.kept()}
    kernel.keep(settings, purpose)
    for setting in to_set:
        try:
            kernel.set(setting.key, setting.value)
            setting.value = kernel.read(setting.key)  # as the kernel writes it: undo compares
            lines.append(f"set {setting.key} = {setting.value} (was {was[setting.key]})")
        except OSError as error:
            failed = True
            lines.append(f"cannot set {setting.key} = {setting.value}: {error.strerror}")
            if setting.key in already:
                setting.value = already[setting.key]  # which it still is, and which undo compares
            else:
                settings = [kept for kept in settings if kept.key != setting.key]
    if settings:
        kernel.keep(settings, purpose)
        lines.append(f"wrote {kernel.path}: the same at every start of this machine")
    else:
        kernel.forget()
    return lines, not failed


def undo(kernel, really=True):
    """Returns (lines, whether all could be undone). A setting that somebody changed since is left as it is."""
    settings, lines, left = kernel.kept(), [], []
    if not settings and not os.path.exists(kernel.path):
        return [f"nothing to undo: there is no {kernel.path}"], True
    for setting in settings:
        try:
            now = kernel.read(setting.key)
            if now == setting.before:
                lines.append(f"{setting.key} is {now or 'empty'} already, as before --apply")
                continue
            if now != " ".join(setting.value.split()):
                lines.append(f"left {setting.key} = {now}: it was changed since (before --apply it was {setting.before or 'empty'})")
                continue
            if really:
                kernel.set(setting.key, setting.before)
            lines.append(f"{'set' if really else 'would set'} {setting.key} = {setting.before} (was {setting.value})")
        except OSError as error:
            left.append(setting)
            lines.append(f"cannot set {setting.key} = {setting.before}: {error.strerror}")
    if left:
        return lines + [f"kept {kernel.path}: it says what is left to undo"], False
    if really:
        kernel.forget()
    return lines + [f"{'removed' if really else 'would remove'} {kernel.path}"], True
