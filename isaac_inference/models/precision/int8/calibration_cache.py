# SPDX-License-Identifier: Apache-2.0
"""Caches the ranges of a model's tensors, so that the same calibration runs only once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from isaac_inference.store.user_cache import cache_dir

_FORMAT = 1


@dataclass(frozen=True)
class CalibrationKey:
    """What ranges depend on.

    Attributes:
        model_sha256: of the model that was calibrated, its pruning included.
        images_sha256: of the tensors that the images became.
        method: how ranges were chosen.
        percentile: of the method 'percentile', else None.
    """

    model_sha256: str
    images_sha256: str
    method: str
    percentile: float | None = None

    @property
    def digest(self) -> str:
        """Hex name of the entry."""
        content = json.dumps({**asdict(self), 'format': _FORMAT}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


class CalibrationCache:
    """Tensor ranges as JSON files, one per key.

    Args:
        root: the folder; empty for this user's cache.
    """

    def __init__(self, root: str | Path = '') -> None:
        self._root = root

    def path(self, key: CalibrationKey) -> Path:
        """Path of a key's entry, whether it exists or not."""
        return cache_dir('calibration', self._root) / f'{key.digest}.json'

    def find(self, key: CalibrationKey, names: Collection[str]) -> dict[str, float] | None:
        """Tensor -> range, of exactly `names`; None if there is no entry, or a damaged one."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            content = json.loads(self.path(key).read_text(encoding='utf-8'))
            ranges = {str(name): float(value) for name, value in content['ranges'].items()}
            usable = all(math.isfinite(value) and value >= 0 for value in ranges.values())
            if content['key'] == asdict(key) and usable and set(names) <= set(ranges):
                return {name: ranges[name] for name in names}
        return None

    def store(self, key: CalibrationKey, ranges: Mapping[str, float]) -> Path:
        """Write an entry, whole or not at all; returns its file."""
        path = self.path(key)
        content = json.dumps({'key': asdict(key), 'ranges': dict(ranges)}, indent=1, sort_keys=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix='.calibration-')
        try:
            with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return path
