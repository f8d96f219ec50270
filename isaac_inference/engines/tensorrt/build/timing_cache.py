# SPDX-License-Identifier: Apache-2.0
"""The tactic timings of earlier builds, one file for each TensorRT version and GPU: a second build is much faster."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from isaac_inference.errors import EngineError
from isaac_inference.store.file_lock import file_lock
from isaac_inference.store.owned_file import read_owned, write_owned
from isaac_inference.store.user_cache import cache_dir

_log = logging.getLogger(__name__)


def timing_path(root: str, tensorrt: str, gpu: str, compute_capability: str) -> Path:
    """The file of a TensorRT version and a GPU."""
    name = re.sub(r'[^A-Za-z0-9.]+', '_', f'{tensorrt}-{gpu}-{compute_capability}')
    return cache_dir('timing', root) / f'{name}.timing'


def use_timings(config: Any, path: Path) -> None:
    """Attach the timings of a file to a builder configuration; without a usable file it starts with none."""
    for data in (_read(path), b''):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return
        if data:
            _log.warning('%s: TensorRT refuses these timings; starting without', path)


def keep_timings(config: Any, path: Path) -> None:
    """Add what a build measured to the file, which other processes may have added to meanwhile. A file that can't
    be written costs time at the next build, so it is only logged.
    """
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        with file_lock(path.with_suffix('.lock')):
            data = _read(path)
            theirs = config.create_timing_cache(data) if data else None
            if theirs is not None:
                cache.combine(theirs, False)
            merged = cache.serialize()
            if merged is not None and merged.nbytes:
                write_owned(path, bytes(merged))
    except EngineError as error:
        _log.warning('the timings of this build are not kept: %s', error)


def _read(path: Path) -> bytes:
    try:
        return read_owned(path)
    except FileNotFoundError:
        return b''
    except EngineError as error:
        _log.warning('%s', error)
        return b''
