# SPDX-License-Identifier: Apache-2.0
"""Builds an engine in a process of its own: the node stays responsive, and a crash of the builder stays outside.

    build = BackgroundBuild(card, settings)
    while not build.done:
        show(build.poll())
        ...
    entry = build.result()

The child gets the card and the settings on its stdin, and ends when stdin does: when its parent is gone, however it
went. (The kernel's parent-death signal would come when the thread that started the child ends.) It writes a JSON line
for each step to its stdout, and TensorRT's log to its stderr, whose end becomes part of an error's message.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import IO, Any

from isaac_inference import errors
from isaac_inference.engines.preparation import BuildProgress
from isaac_inference.engines.tensorrt.build.progress import ProgressSink
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError, PerceptionError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.store.engine_cache import CacheEntry, EngineCache

_log = logging.getLogger(__name__)

COMMAND = (sys.executable, '-m', 'isaac_inference.engines.tensorrt.build.process')
_TAIL_LINES = 12
_END_S = 2.0  # for a child to end by itself when it is told to

Build = Callable[[ModelCard, TensorRtSettings, ProgressSink], CacheEntry]


class BackgroundBuild:
    """An engine that is being built by a child process; finds it in the cache first, as `ensure_engine` does.

    Thread-safe; no method waits but `cancel`, for two seconds at most.

    Args:
        card: the model.
        settings: how to build it.
        command: the child's command line, for tests.
    """

    def __init__(self, card: ModelCard, settings: TensorRtSettings, *, command: Sequence[str] = COMMAND) -> None:
        self._name, self._settings = card.name, settings
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._progress = BuildProgress('building', None, 0.0, 'starting')
        self._outcome: dict[str, Any] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._cancelled = False
        self._entry: CacheEntry | None = None
        self._error: PerceptionError | None = None
        self._ended = threading.Event()
        request = _request(card, settings)
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the parent's to handle, and helpers of the child end with it
            )
        except OSError as error:
            raise EngineError(f'{self._name}: the build process could not be started ({error})') from error
        threading.Thread(target=self._follow, args=(request,), daemon=True).start()

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    @property
    def done(self) -> bool:
        """True when the engine is there, or the build failed or was cancelled."""
        return self._ended.is_set()

    def poll(self) -> BuildProgress:
        """How far the build is; its phase is 'finished' or 'failed' at the end."""
        elapsed = time.monotonic() - self._start
        with self._lock:
            progress = self._progress
        return progress if self.done else dataclasses.replace(progress, elapsed_s=elapsed)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, for so long at most; true when it is."""
        return self._ended.wait(timeout_s)

    def result(self) -> CacheEntry:
        """The engine; raises what went wrong, or EngineError while the build goes on."""
        if not self.done:
            raise EngineError(f'{self._name}: the engine is still being built')
        if self._error is not None:
            raise self._error
        if self._entry is None:
            raise EngineError(f'{self._name}: the build ended without an engine')
        return self._entry

    def cancel(self) -> None:
        """End the child, and what it started; `result` raises EngineError then. Nothing half-done stays behind."""
        self._cancelled = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.done:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
            self._ended.wait(_END_S)

    def _follow(self, request: bytes) -> None:
        """Read what the child says until it ends; in a thread of its own."""
        child = self._child
        if child.stdin is None or child.stdout is None or child.stderr is None:
            return
        listener = threading.Thread(target=self._listen, args=(child.stderr,), daemon=True)
        listener.start()
        with contextlib.suppress(BrokenPipeError):  # a child that ended already; its exit code tells
            child.stdin.write(request)
            child.stdin.flush()
        for line in child.stdout:
            self._take(line)
        code = child.wait()
        listener.join(_END_S)
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._finish(code)
        except PerceptionError as error:
            self._error = error
        phase, message = ('failed', str(self._error)) if self._error else ('finished', 'the engine is in the cache')
        with self._lock:
            self._progress = BuildProgress(phase, None, time.monotonic() - self._start, message)
        self._ended.set()

    def _listen(self, pipe: IO[bytes]) -> None:
        """Keep the end of the child's log."""
        for line in pipe:
            text = line.decode('utf-8', 'replace').rstrip()
            if text:
                self._tail.append(text)
                _log.debug('%s: %s', self._name, text)

    def _take(self, line: bytes) -> None:
        """One line of the child's stdout."""
        try:
            said = json.loads(line)
            if 'progress' in said:
                with self._lock:
                    self._progress = BuildProgress(**said['progress'])
            else:
                self._outcome = said
        except (ValueError, TypeError):
            self._tail.append(line.decode('utf-8', 'replace').rstrip())

    def _finish(self, code: int) -> None:
        """Find the engine, or say why there is none."""
        if self._cancelled:
            raise EngineError(f'{self._name}: the build was cancelled')
        if 'digest' in self._outcome:
            self._entry = EngineCache(self._settings.cache_dir).entry(self._outcome['digest'])
        elif 'error' in self._outcome:
            kind = getattr(errors, self._outcome['kind'], EngineError)
            if kind not in (errors.ConfigError, errors.ModelError, errors.EngineError, errors.DeviceError):
                kind = errors.DeviceError if issubclass(kind, errors.DeviceError) else EngineError
            raise kind(self._outcome['error'])
        else:
            raise EngineError(self._crash_text(code))

    def _crash_text(self, code: int) -> str:
        """How a child ended that said nothing."""
        how, hint = f'with exit code {code}', ''
        if code < 0:
            try:
                how = f'by signal {signal.Signals(-code).name}'
            except ValueError:
                how = f'by signal {-code}'
            hint = '; the machine may be out of memory' if -code == signal.SIGKILL else ''
        tail = ' | '.join(self._tail)
        return (
            f'{self._name}: the process that built the engine ended {how}{hint}. Another preset or tactic_sources, or '
            f'another TensorRT version, may help. The end of its log: {tail or "nothing"}'
        )


def serve(build: Build | None = None) -> int:
    """The child's side: read a request from stdin, build, and write what happens to stdout as JSON lines.

    Args:
        build: what builds; None for `ensure_engine`.

    Returns:
        0, or 1 when it could not build; stdout says why.
    """
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8', buffering=1)
    os.dup2(2, 1)  # what native code prints is log
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format='%(levelname)s %(message)s')
    card, settings = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(**values: Any) -> None:
        answers.write(json.dumps(values) + '\n')

    try:
        if build is None:
            from isaac_inference.engines.tensorrt.build.ensure import ensure_engine

            build = ensure_engine
        entry = build(card, settings, lambda progress: tell(progress=dataclasses.asdict(progress)))
    except PerceptionError as error:
        tell(error=str(error), kind=type(error).__name__)
        return 1
    tell(digest=entry.digest)
    return 0


def _end_with_parent() -> None:
    """Wait for the end of stdin, which only comes with the parent's; then end this process and what it started."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _read_only(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


class _Pickler(pickle.Pickler):
    """Pickles a card's read-only mappings, which pickle itself refuses."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, MappingProxyType):
            return _read_only, (dict(item),)
        return NotImplemented


def _request(card: ModelCard, settings: TensorRtSettings) -> bytes:
    """Card and settings for the child: the card as it is, since its YAML may have changed meanwhile."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump((card, settings))
    return buffer.getvalue()


if __name__ == '__main__':
    sys.exit(serve())
