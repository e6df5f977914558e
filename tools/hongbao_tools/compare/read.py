"""A run's report.json as tools/compare takes it, or the reason why it does not. Trusts nothing in it."""

import json
import os

SCHEMA = 1
SIZE_MAX = 64 << 20  # of a report it is a few hundred KB
_NEEDED = {"verdict": str, "config": dict, "phases": list, "connections": dict, "money_fen": dict, "memory": dict, "cpu": dict, "identities": list}


class CouldNotRead(Exception):
    """The text says which file and why."""


def report(path):
    """The document of a run's folder or of a report.json; CouldNotRead."""
    if os.path.isdir(path):
        inner = os.path.join(path, "report.json")
        if not os.path.exists(inner):
            raise CouldNotRead(f"{path}: there is no report.json in this folder; give the folder that a run of tools/simulate left")
        path = inner
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise CouldNotRead(f"{path}: not a regular file")
        with open(path, encoding="utf-8") as file:
            text = file.read(SIZE_MAX + 1)
        if len(text) > SIZE_MAX:
            raise CouldNotRead(f"{path}: too large for a report")
        document = json.loads(text)
    except OSError as error:
        raise CouldNotRead(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CouldNotRead(f"{path}: this is no JSON: {error}") from None
    return checked(path, document)


def checked(path, document):
    if not isinstance(document, dict):
        raise CouldNotRead(f"{path}: this is no report of tools/simulate")
    if "asked" in document and "parts" in document:
        raise CouldNotRead(f"{path}: this is the report of a --ten-billion; its parts have no steps of load to put side by side")
    schema = document.get("schema")
    if schema != SCHEMA:
        if "role" in document:
            raise CouldNotRead(f"{path}: this is the report of one {document['role']}; give the run's report.json")
        age = "a newer" if isinstance(schema, int) and schema > SCHEMA else "an older" if "verdict" in document else "no"
        raise CouldNotRead(f"{path}: this is {age} report of tools/simulate (its schema is {schema!r}, {SCHEMA} is understood)")
    for name, kind in _NEEDED.items():
        if not isinstance(document.get(name), kind):
            raise CouldNotRead(f"{path}: not a whole report: '{name}' is " + ("missing" if name not in document else "of another kind"))
    for name in ("phases", "identities"):
        if not all(isinstance(one, dict) for one in document[name]):
            raise CouldNotRead(f"{path}: not a whole report: '{name}' is of another kind")
    return document


def value(document, *path):
    """The number at the end of the path, or None for anything else that is there."""
    found = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) and abs(found) < 1e18 else None  # NaN neither
