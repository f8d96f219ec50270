# SPDX-License-Identifier: Apache-2.0
"""What a measurement was made on: versions, processor, devices, and the size of what ran."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from isaac_inference import __version__
from isaac_inference.engines import Engine
from isaac_inference.models.onnx.reader import read_model_file

_PACKAGES = ('numpy', 'onnx', 'onnxruntime', 'onnxruntime-gpu', 'tensorrt', 'pycuda')


def model_bytes(engine: Engine) -> int:
    """Bytes of what an open engine runs: of the plan where one was built, else of the ONNX file and the weights
    beside it.
    """
    memory: Mapping[str, float] = getattr(engine, 'memory', {})  # MiB by purpose, for engines that report it
    if memory.get('plan'):
        return round(memory['plan'] * 2**20)
    file = read_model_file(engine.card.path)
    return sum(Path(path).stat().st_size for path in (file.path, *file.external_files))


def environment(**engines: Engine) -> dict[str, Any]:
    """Versions, processor and devices, so that others can judge a report.

    Args:
        engines: role in the report -> open engine.
    """
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        'isaac_inference': __version__,
        'python': platform.python_version(),
        'system': f'{platform.system()} {platform.release()} {platform.machine()}',
        'processor': _processor(),
        'cpus': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        'versions': versions,
        'models': {
            role: {
                'name': engine.name,
                'device': engine.device,
                'file': engine.card.path.name,
                'sha256': engine.card.sha256,
            }
            for role, engine in engines.items()
        },
    }


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), '')
