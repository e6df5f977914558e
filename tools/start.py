"""The Python half of start.sh: `start.py NAME ARGUMENT...` calls main(arguments) of hongbao_tools/NAME/main.py."""

import importlib
import sys

from hongbao_tools.common import streams

if __name__ == "__main__":
    sys.argv.pop(0)  # a tool sees its own name first
    tool = importlib.import_module(f"hongbao_tools.{sys.argv[0]}.main")
    sys.exit(streams.run(tool.main, sys.argv[1:]))
