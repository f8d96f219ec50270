# SPDX-License-Identifier: Apache-2.0
"""How far a build is: phases for people, a fraction where TensorRT tells, a line in the log every ten seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from isaac_inference.engines.preparation import LOG_EVERY_S, BuildProgress

_log = logging.getLogger(__name__)

_TICK_S = 0.5

ProgressSink = Callable[[BuildProgress], None]


class Reporter:
    """Tells a sink about a build twice a second, from a thread of its own, and the log every ten seconds.

        with Reporter('yolox_nano', sink) as reporter:
            reporter.enter('building', 'level 3')
            reporter.advance(0.3)

    Args:
        name: the model's name.
        sink: called from that thread; what it raises is logged and ends nothing.
        log_every_s: seconds between two lines in the log.
    """

    def __init__(self, name: str, sink: ProgressSink, log_every_s: float = LOG_EVERY_S) -> None:
        self._name, self._sink, self._log_every_s = name, sink, log_every_s
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._state: tuple[str, float | None, str] = ('building', None, '')
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name='build_progress', daemon=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since this was made."""
        return time.monotonic() - self._start

    def enter(self, phase: str, message: str) -> None:
        """Begin a phase, with one line about it; also logged."""
        with self._lock:
            self._state = (phase, None, message)
        _log.info('%s: %s: %s', self._name, phase, message)
        self._wake.set()

    def advance(self, fraction: float) -> None:
        """Set the fraction of the phase; it never goes back."""
        with self._lock:
            phase, before, message = self._state
            self._state = (phase, max(before or 0.0, min(fraction, 1.0)), message)

    def now(self) -> BuildProgress:
        """The progress at this moment."""
        with self._lock:
            phase, fraction, message = self._state
        return BuildProgress(phase, fraction, self.elapsed_s, message)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        logged = time.monotonic()
        while not self._stopped:
            self._wake.wait(_TICK_S)
            self._wake.clear()
            progress = self.now()
            try:
                self._sink(progress)
            except Exception:
                _log.exception('%s: the progress of the build could not be told', self._name)
            if time.monotonic() - logged >= self._log_every_s:
                logged = time.monotonic()
                part = '' if progress.fraction is None else f', {100 * progress.fraction:.0f} %'
                _log.info(
                    '%s: %s for %.0f s%s (%s)', self._name, progress.phase, progress.elapsed_s, part, progress.message
                )


class PhaseTree:
    """The fraction that nested phases of known step counts make together; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[str | None, int, int]] = {}  # name -> parent, steps, steps done

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps has begun, as one step of its parent where it has one."""
        with self._lock:
            self._open[name] = (parent, max(steps, 1), 0)

    def complete(self, name: str, step: int) -> None:
        """Step number `step`, counted from 0, of a phase is done."""
        with self._lock:
            if name in self._open:
                parent, steps, _ = self._open[name]
                self._open[name] = (parent, steps, min(step + 1, steps))

    def finish(self, name: str) -> None:
        """A phase has ended, perhaps before its last step."""
        with self._lock:
            self._open.pop(name, None)

    def fraction(self) -> float:
        """Done part of the outermost phase that is open, 0 to 1; 0 where none is."""
        with self._lock:
            roots = [name for name, (parent, _, _) in self._open.items() if parent not in self._open]
            return self._part(roots[0]) if roots else 0.0

    def _part(self, name: str) -> float:
        """Steps done, and the most advanced phase below as a part of the next step."""
        _, steps, done = self._open[name]
        below = [self._part(child) for child, (parent, _, _) in self._open.items() if parent == name]
        return min((done + max(below, default=0.0)) / steps, 1.0)


def make_monitor(trt: Any, advance: Callable[[float], None], cancelled: Callable[[], bool]) -> Any:
    """A tensorrt.IProgressMonitor (10 and later) that tells the fraction, and ends the build when it is cancelled.

    TensorRT calls it from threads of its own; nothing is raised into them.
    """
    tree = PhaseTree()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            _quietly(lambda: tree.start(phase_name, parent_phase, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            _quietly(lambda: tree.complete(phase_name, step))
            _quietly(lambda: advance(tree.fraction()))
            return not _quietly(cancelled, True)

        def phase_finish(self, phase_name: str) -> None:
            _quietly(lambda: tree.finish(phase_name))

    return Monitor()


def _quietly(call: Callable[[], Any], otherwise: Any = None) -> Any:
    """What a call returns, or `otherwise` where it raises anything: an exception in TensorRT's thread is an abort."""
    try:
        return call()
    except BaseException:
        _log.debug('in the progress monitor', exc_info=True)
        return otherwise
