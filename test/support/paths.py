# SPDX-License-Identifier: Apache-2.0
"""Where the repository is, and the folder of real models and pictures beside it, which not every machine has."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'isaac_inference'
DATA = ROOT.parent / 'shared' / 'data'
YOLOX_NANO = DATA / 'models' / 'yolox_nano.onnx'
