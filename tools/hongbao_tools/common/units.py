"""Numbers as people write and read them, with the syntax of the C++ programs (libhongbao/cli/flags.h)."""

import re

_COUNT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "m": 10**6, "M": 10**6, "g": 10**9, "G": 10**9}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_count(text):
    """'20000', '20,000', '60k', '1.5M' -> int; ValueError with the reason otherwise."""
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,9}))?([kKmMgG]?)", text)
    if not match:
        raise ValueError(f"'{text}' is not a count; write it like 20000, 60k or 1M")
    whole, fraction, unit = match.groups()
    factor = _COUNT_UNITS[unit]
    scaled = int(fraction or 0) * factor
    scale = 10 ** len(fraction or "")
    if scaled % scale:
        raise ValueError(f"'{text}' is not a whole number")
    return int(whole.replace(",", "")) * factor + scaled // scale


def parse_seconds(text):
    """'60s', '2m', '1h', '1.5m' -> whole seconds; ValueError with the reason otherwise."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not match:
        raise ValueError(f"'{text}' is not a duration; write it like 60s, 2m or 1h")
    seconds = float(match.group(1)) * _SECONDS[match.group(2)]
    if seconds != int(seconds) or seconds < 1:
        raise ValueError(f"'{text}' is not a whole number of seconds")
    return int(seconds)


def short(number):
    """60000 -> '60k', 1500000 -> '1.5M', 1234 -> '1,234': exact when it is round, at most 4 digits otherwise."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(number) >= 10 * factor or (abs(number) >= factor and number * 10 % factor == 0):
            return f"{number / factor:.4g}{unit}"
    return commas(number)


UNKNOWN = "unknown"  # never a 0 for what nobody has told of


def commas(number, digits=0):
    return UNKNOWN if number is None else f"{number:,.{digits}f}"


def failed(connects):
    """{'ECONNREFUSED': 3} -> 'ECONNREFUSED 3'."""
    return "failed connects " + UNKNOWN if connects is None else ", ".join(f"{name} {count:,}" for name, count in connects.items()) or "none failed"


def bytes_text(number):
    """'49.3 MB', '8.29 GB': decimal units, as the report's bytes."""
    if number is None:
        return UNKNOWN
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(number) >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} B"


def yuan(fen):
    if fen is None:
        return UNKNOWN
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def ms(us):
    """Microseconds as a latency column: '0.09', '1.3', '134'."""
    if us is None:
        return "-"
    value = us / 1000
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
