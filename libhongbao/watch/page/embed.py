#!/usr/bin/env python3
"""embed.py: puts the page together, everything inside one file.

usage: embed.py --source FOLDER --dygraphs FOLDER --role live|report --out FILE [--cc NAME]

Reads index.html, style.css and the scripts of FOLDER, and dygraph.min.js and .css. Writes the HTML, or with --cc a C++ source that
defines `const absl::string_view hongbao::watch::NAME`. Standard library only.
"""
import argparse
import json
import os
import re
import sys

BYTES_A_LINE = 96


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def library(folder, name):
    """A file of dygraphs without the line that names its source map: there is no other file to ask for."""
    text = re.sub(r"^(//|/\*)# sourceMappingURL=.*$", "", read(folder, name), flags=re.MULTILINE).strip()
    if re.search(r"</(script|style)", text, re.IGNORECASE):
        raise ValueError(f"{name} would end the element it stands in")
    return text


def charts(source):
    """charts.js with the table of columns, which lies beside the page's folder, in its place."""
    columns = json.dumps(json.loads(read(source, "..", "columns.json"))["columns"])
    script, places = re.subn(r"/\*COLUMNS_JSON\*/\[\]", lambda _: columns, read(source, "charts.js"))
    if places != 1:
        raise ValueError("charts.js has no single /*COLUMNS_JSON*/[]")
    return script


def whole(source, dygraphs, role):
    page = read(source, "index.html")
    parts = {
        "DYGRAPH_CSS": library(dygraphs, "dygraph.min.css"),
        "STYLE": read(source, "style.css"),
        "DYGRAPH_JS": library(dygraphs, "dygraph.min.js"),
        "CHARTS_JS": charts(source),
        "ROLE_JS": read(source, role + ".js"),
    }
    for marker in parts:
        if page.count(f"/*{marker}*/") != 1:
            raise ValueError(f"index.html has no single /*{marker}*/")
    return re.sub(r"/\*(" + "|".join(parts) + r")\*/", lambda match: parts[match.group(1)], page)


def octal(data):
    """The bytes as text between the quotes of a C string; octal, since a hexadecimal escape has no end."""
    plain = lambda byte: chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"  # noqa: E731
    return "".join(map(plain, data))


def as_cc(data, name):
    lines = (f'    "{octal(data[at:at + BYTES_A_LINE])}"' for at in range(0, len(data), BYTES_A_LINE))
    return ('#include "absl/strings/string_view.h"\n\nnamespace hongbao::watch {\n\n'
            f"extern const absl::string_view {name};\n"
            f"const absl::string_view {name}(\n" + "\n".join(lines) + f",\n    {len(data)});\n\n}}  // namespace hongbao::watch\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--source", "--dygraphs", "--out"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--role", required=True, choices=["live", "report"])
    parser.add_argument("--cc")
    options = parser.parse_args()
    try:
        page = whole(options.source, options.dygraphs, options.role)
    except (OSError, ValueError) as error:
        print(f"embed.py: {error}", file=sys.stderr)
        return 1
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(as_cc(page.encode(), options.cc) if options.cc else page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
