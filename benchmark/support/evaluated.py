# SPDX-License-Identifier: Apache-2.0
"""What `isaac-inference evaluate --sim` finds, run as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.support.common import ROOT

_TIMEOUT_S = 3600.0
_MAIN = 'import sys; from isaac_inference.cli.main import main; sys.exit(main())'


def evaluated(way: str, arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """The JSON that it writes; `folder` takes it.

    Raises:
        RuntimeError: it wrote none. Where some frames got no answer its status is 1, and the JSON says how many.
    """
    output = folder / 'out.json'
    command = [sys.executable, '-c', _MAIN, 'evaluate', '--sim', *arguments, '--json', str(output)]
    status = subprocess.run(command, cwd=ROOT, timeout=_TIMEOUT_S).returncode
    if not output.is_file():
        raise RuntimeError(f'{way}: isaac-inference evaluate ended with status {status} and wrote no figures')
    summary: dict[str, Any] = json.loads(output.read_text())
    return summary
