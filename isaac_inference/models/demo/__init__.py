# SPDX-License-Identifier: Apache-2.0
"""The package's own models, trained on its simulator; each file carries its own card."""

from __future__ import annotations

from pathlib import Path

from isaac_inference.errors import ModelError

_FOLDER = Path(__file__).resolve().parent


def demo_model() -> Path:
    """Path of the model that finds the simulated camera's objects, their masks and the corners of their cuboids.

    Raises:
        ModelError: the file isn't there.
    """
    return _file('demo_objects.onnx')


def completion_model() -> Path:
    """Path of the network that fills the holes of a depth camera.

    Raises:
        ModelError: the file isn't there.
    """
    return _file('depth_completion.onnx')


def _file(name: str) -> Path:
    path = _FOLDER / name
    if not path.is_file():
        raise ModelError(
            f"the package's own model: no file {path}; reinstall the package, train it as training/README.md says, or "
            'give another model'
        )
    return path
