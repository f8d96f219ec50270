# SPDX-License-Identifier: Apache-2.0
"""The package's own model: it finds the simulated camera's objects and the corners of their cuboids."""

from __future__ import annotations

from pathlib import Path

from isaac_inference.errors import ModelError

_FILE = Path(__file__).resolve().parent / 'demo_objects.onnx'


def demo_model() -> Path:
    """Path of the ONNX file, which carries its own card.

    Raises:
        ModelError: the file isn't there.
    """
    if not _FILE.is_file():
        raise ModelError(
            f'demo model: no file {_FILE}; reinstall the package, train it as training/README.md says, or give another '
            'model'
        )
    return _FILE
