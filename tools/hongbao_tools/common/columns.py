"""The figures of one second, as all programs have them: libhongbao/watch/columns.json."""

import json
import os

from .paths import ROOT

with open(os.path.join(ROOT, "libhongbao", "watch", "columns.json"), encoding="utf-8") as _file:
    FACTS = json.load(_file)["columns"]
NAMES = [facts["name"] for facts in FACTS]
