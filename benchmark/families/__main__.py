# SPDX-License-Identifier: Apache-2.0
"""python -m benchmark.families FOLDER [names...]: writes the ONNX files of the families, and says what is missing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.families.catalog import build_all


def main() -> int:
    """Build what this environment can build; 1 if an installed exporter failed."""
    parser = argparse.ArgumentParser(prog='python -m benchmark.families', description=__doc__)
    parser.add_argument('folder', type=Path, help='where NAME.onnx are written; files that are there are kept')
    parser.add_argument('names', nargs='*', help='cases to build; default: all')
    arguments = parser.parse_args()
    failed = False
    for case, reason in build_all(arguments.folder, arguments.names):
        print(f'{case.name:32} {case.made_by:50} {reason or "ok"}', flush=True)
        failed = failed or reason.startswith('failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
