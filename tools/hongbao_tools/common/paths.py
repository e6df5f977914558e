"""Where the source tree is."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
