# SPDX-License-Identifier: Apache-2.0
"""Stores this user's built engines, keyed by what they were built from. An engine is code: see `owned_file`.

    cache = EngineCache()
    entry = cache.obtain(key, make=lambda: (plan_bytes, {'build_s': 61.0}))
    plan = entry.read()

An entry is two files: `<digest>-<sha256>.engine`, the plan, and `<digest>.json`, all facts about it in
readable form. The JSON names the plan and its SHA-256 and is written last, in one rename, so that leftovers of a killed
writer are never taken for an engine, and a reader never gets half of the old one and half of the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isaac_inference.errors import EngineError
from isaac_inference.store.file_lock import file_lock
from isaac_inference.store.owned_file import RefusedFileError, read_owned, write_owned
from isaac_inference.store.user_cache import cache_dir

_log = logging.getLogger(__name__)

FORMAT = 1
"""Incremented when the meaning of entries changes; it is part of every key, so older entries are no longer found."""
_PLAN_NAME = re.compile(r'[0-9a-f]{32}-[0-9a-f]{16}\.engine')

ProfileShapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Smallest, optimum and largest shape of one input."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on; engines with the same key are interchangeable.

    Attributes:
        model: the model's name, for people; not part of the key.
        model_sha256: hex digest of the ONNX file and its external weights.
        precision: 'model', or what the graph was converted to before the build.
        shapes: input name -> smallest, optimum and largest shape.
        options: build options that affect the engine; values that JSON can represent.
        tensorrt: TensorRT's version.
        gpu: the GPU's name.
        compute_capability: such as '8.7'.
    """

    model: str
    model_sha256: str
    precision: str
    shapes: Mapping[str, ProfileShapes]
    options: Mapping[str, Any]
    tensorrt: str
    gpu: str
    compute_capability: str

    def facts(self) -> dict[str, Any]:
        """The key as plain values for JSON, without the model's name."""
        return {
            'format': FORMAT,
            'model_sha256': self.model_sha256,
            'precision': self.precision,
            'shapes': {name: [list(shape) for shape in shapes] for name, shapes in sorted(self.shapes.items())},
            'options': dict(sorted(self.options.items())),
            'tensorrt': self.tensorrt,
            'gpu': self.gpu,
            'compute_capability': self.compute_capability,
        }

    @property
    def digest(self) -> str:
        """32 hex digits that differ if any fact differs."""
        text = json.dumps(self.facts(), sort_keys=True, separators=(',', ':'))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class CacheEntry:
    """One engine in the cache.

    Attributes:
        path: the plan file.
        metadata: the content of its JSON file: `model`, `key`, `plan`, `sha256`, `bytes`, `created`, and what the
            builder added, such as `build_s` and `agreement`.
    """

    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'metadata', MappingProxyType(dict(self.metadata)))

    @property
    def digest(self) -> str:
        """The digest of the key it was built for."""
        return self.path.name[:32]

    def read(self) -> bytes:
        """The plan, checked on each read: owner, mode, size and SHA-256.

        Raises:
            EngineError: it is gone, refused, truncated, or not what was built; says what to do.
        """
        try:
            plan = read_owned(self.path)
        except FileNotFoundError:
            raise EngineError(f'{self.path}: the engine is gone; configure again to rebuild it') from None
        expected = int(self.metadata['bytes'])
        if len(plan) != expected:
            what = 'is empty' if not plan else f'has {len(plan)} bytes'
            raise EngineError(
                f'{self.path}: the engine {what}, expected {expected}, so it was truncated or swapped; '
                f'remove it to have it rebuilt'
            )
        if hashlib.sha256(plan).hexdigest() != self.metadata['sha256']:
            raise EngineError(
                f'{self.path}: the engine was altered since it was built (its SHA-256 differs); remove it to '
                'have it rebuilt'
            )
        return plan


class EngineCache:
    """The engines of this user.

    Several processes may use it at once.

    Args:
        root: the folder that holds it; empty for the user's cache folder.

    Raises:
        ConfigError: the folder can't be made, or others may write to it.
    """

    def __init__(self, root: str | Path = '') -> None:
        self.folder = cache_dir('engines', root)

    def find(self, key: EngineKey) -> CacheEntry | None:
        """The engine of a key, all of it checked; None if there is none.

        A damaged entry (truncated, empty, altered, incomplete) counts as none, with a warning that says why: it is
        ours, and rebuilding repairs it. One that another user wrote, or may have written, raises EngineError instead,
        because then a person has to check.
        """
        entry, problem = self.inspect(key.digest)
        if problem:
            _log.warning('%s; it is not used', problem)
        return entry

    def inspect(self, digest: str) -> tuple[CacheEntry | None, str]:
        """The entry of a digest and '', or None and what is wrong with it ('' if there is none at all).

        Raises:
            EngineError: a file that another user wrote, or may have written.
        """
        for _ in range(2):  # a writer may store a new one, and remove the old plan, between our two reads
            entry, problem = self._read_entry(digest)
            if entry is None:
                return None, problem
            try:
                entry.read()
            except RefusedFileError:
                raise
            except EngineError as error:
                problem = str(error)
                continue
            return entry, ''
        return None, problem

    def entry(self, digest: str) -> CacheEntry:
        """The valid entry of a digest; raises EngineError if there is none."""
        entry, problem = self.inspect(digest)
        if entry is None:
            raise EngineError(problem or f'{self.folder}: no engine {digest}; it was removed')
        return entry

    def store(self, key: EngineKey, plan: bytes, metadata: Mapping[str, Any] = MappingProxyType({})) -> CacheEntry:
        """Store an engine, replacing an older one with the same key; the caller holds the key's lock.

        Raises:
            EngineError: the plan is empty, or can't be written.
        """
        if not plan:
            raise EngineError(f'{key.model}: the engine to store is empty; build it again')
        sha256 = hashlib.sha256(plan).hexdigest()
        path = self.folder / f'{key.digest}-{sha256[:16]}.engine'
        facts = {
            'model': key.model,
            'key': key.facts(),
            'plan': path.name,
            'sha256': sha256,
            'bytes': len(plan),
            'created': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            **metadata,
        }
        write_owned(path, plan)
        write_owned(self._facts_path(key.digest), (json.dumps(facts, indent=2) + '\n').encode())
        self._sweep(key.digest, keep=path)
        return CacheEntry(path, facts)

    def lock(
        self,
        key: EngineKey,
        on_wait: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> AbstractContextManager[None]:
        """A context in which only this process builds the engine of a key; see `file_lock`."""
        return file_lock(self.folder / f'{key.digest}.lock', on_wait, cancelled)

    def obtain(
        self,
        key: EngineKey,
        make: Callable[[], tuple[bytes, Mapping[str, Any]]],
        *,
        accept: Callable[[CacheEntry], bool] = lambda entry: True,
        on_wait: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CacheEntry:
        """The engine of a key: the cached one, or else what `make` returns; only one process makes it.

        Args:
            key: what the engine depends on.
            make: builds the plan and returns it with facts worth noting; nothing is stored if it raises.
            accept: false for an entry that must be rebuilt.
            on_wait: called with the lock's holder while another process builds.
            cancelled: polled while waiting; true ends the wait with an EngineError.
        """
        entry = self.find(key)
        if entry is not None and accept(entry):
            return entry
        with self.lock(key, on_wait, cancelled):
            entry = self.find(key)
            if entry is not None and accept(entry):
                return entry
            plan, metadata = make()
            return self.store(key, plan, metadata)

    def entries(self) -> list[CacheEntry]:
        """Every entry with readable facts, sorted by model name; the plans are not read."""
        found = [self._read_entry(path.stem)[0] for path in self.folder.glob('*.json')]
        return sorted((entry for entry in found if entry), key=lambda entry: (entry.metadata['model'], entry.digest))

    def remove(self, entry: CacheEntry) -> None:
        """Remove an entry; plans already read are not affected."""
        self._facts_path(entry.digest).unlink(missing_ok=True)
        entry.path.unlink(missing_ok=True)

    def _facts_path(self, digest: str) -> Path:
        return self.folder / f'{digest}.json'

    def _read_entry(self, digest: str) -> tuple[CacheEntry | None, str]:
        """The content of the JSON file, and what is wrong with it."""
        path = self._facts_path(digest)
        try:
            facts = json.loads(read_owned(path))
            plan, sound = facts['plan'], {str: ('model', 'sha256'), int: ('bytes',), dict: ('key',)}
            if not all(isinstance(facts[name], kind) for kind, names in sound.items() for name in names):
                raise ValueError('a value of the wrong type')
            if not _PLAN_NAME.fullmatch(plan) or not plan.startswith(digest):
                raise ValueError(f'the plan {plan!r}')
        except FileNotFoundError:
            return None, ''
        except (ValueError, KeyError, TypeError) as error:
            return None, f'{path}: not a valid description of an engine ({error}); remove it'
        return CacheEntry(self.folder / plan, facts), ''

    def _sweep(self, digest: str, keep: Path) -> None:
        """Remove what older engines of a key, and killed writers, left; the caller holds the key's lock."""
        for pattern in (f'{digest}-*.engine', f'.{digest}*.tmp'):
            for path in self.folder.glob(pattern):
                if path != keep:
                    with contextlib.suppress(OSError):
                        path.unlink()
