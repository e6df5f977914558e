#!/usr/bin/env python3
"""columns.py: makes columns.h, the enum Column and the table kColumns, of columns.json.

usage: columns.py COLUMNS_JSON OUT

Standard library only.
"""
import json
import sys


def enumerator(name):
    """'p99_us' -> 'kP99Us'"""
    return "k" + "".join(word.capitalize() for word in name.split("_"))


def entry(column):
    by, slot = column["by"], column.get("slot", "")
    numbers, _, half = slot.partition(".")
    slots = numbers.split("+") if slot else []
    origin = column.get("from") or ("client" if "client" in by or not by else "server")
    return (f'    {{.id = Column::{enumerator(column["name"])}, .name = "{column["name"]}", .format = Format::{enumerator(column["format"])}, '
            f'.client = {str("client" in by).lower()}, .server = {str("server" in by).lower()}, '
            f'.from = wire::Role::{enumerator(origin)}, .slots = {{{", ".join(slots)}}}, .slot_count = {len(slots)}, '
            f'.half = Half::{enumerator(half or "both")}, .per = {column.get("per", 1)}, .worst = {str(column.get("merge") == "worst").lower()}}},')


def header(columns):
    names = ", ".join(enumerator(column["name"]) for column in columns)
    return "\n".join([
        "// Made by columns.py of columns.json: the figures of one second. Thread tag: thread-safe (constants).",
        "#pragma once", "", '#include "libhongbao/watch/column_facts.h"', "", "namespace hongbao::watch {", "",
        f"enum class Column : uint32_t {{ {names}, kCount }};", "",
        "inline constexpr ColumnFacts<Column> kColumns[] = {", *map(entry, columns), "};", "", "}  // namespace hongbao::watch", ""])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        columns = json.load(file)["columns"]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(header(columns))


if __name__ == "__main__":
    main()
