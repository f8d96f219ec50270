# SPDX-License-Identifier: Apache-2.0
"""TensorRT's log in Python's logging, and its last errors for messages: TensorRT itself only returns None."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

_log = logging.getLogger('isaac_inference.tensorrt')

_LEVELS = {
    'INTERNAL_ERROR': logging.ERROR,
    'ERROR': logging.ERROR,
    'WARNING': logging.WARNING,
    'INFO': logging.DEBUG,
    'VERBOSE': logging.NOTSET,  # thousands of lines a build, dropped
}
_ONCE = 256  # so many different warnings are remembered, each logged once
_MEMORY_WORDS = (
    'out of memory',
    'outofmemory',
    'cudaerrormemoryallocation',
    'insufficient memory',
    'failed to allocate',
)


class TrtLog:
    """Takes TensorRT's messages; any thread may write and read.

    Repeated warnings are logged once, errors each time. While a caller collects errors, they are his to report and
    are logged at DEBUG only.

    Attributes:
        lost: messages that Python's logging failed on.
        interrupted: True once Ctrl-C came while TensorRT was calling; whoever called TensorRT raises it then.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.lost = 0
        self._lock = threading.Lock()
        self._seen: deque[str] = deque(maxlen=_ONCE)
        self._collectors: list[list[str]] = []

    def write(self, severity: str, message: str) -> None:
        """Take one message.

        Args:
            severity: TensorRT's name of it, such as 'WARNING'.
            message: the text.
        """
        level = _LEVELS.get(severity, logging.ERROR)
        if level == logging.NOTSET:
            return
        text = ' '.join(message.split())
        with self._lock:
            if level == logging.ERROR and self._collectors:
                for errors in self._collectors:
                    errors.append(text)
                level = logging.DEBUG
            elif level == logging.WARNING:
                if text in self._seen:
                    return
                self._seen.append(text)
        _log.log(level, '%s', text)

    @contextlib.contextmanager
    def collect(self) -> Iterator[list[str]]:
        """A list that the errors of TensorRT go to while the context lasts, those of all threads."""
        errors: list[str] = []
        with self._lock:
            self._collectors.append(errors)
        try:
            yield errors
        finally:
            with self._lock:
                self._collectors = [item for item in self._collectors if item is not errors]


def said(errors: list[str], count: int = 4) -> str:
    """The first few different errors as the end of a message: `; TensorRT said: ...`, or '' for none. The first is
    the cause, what follows mostly its consequences.
    """
    different = list(dict.fromkeys(errors))[:count]
    return f'; TensorRT said: {" | ".join(different)}' if different else ''


def is_out_of_memory(errors: list[str]) -> bool:
    """True when TensorRT's errors say that the GPU's memory was used up."""
    return any(word in error.lower() for error in errors for word in _MEMORY_WORDS)


TRT_LOG = TrtLog()
"""The one of this process: TensorRT takes the first logger that it is given for everything."""


@functools.cache
def trt_logger() -> Any:
    """The tensorrt.ILogger of this process, which writes to `TRT_LOG`; give it to every Builder, Runtime and parser."""
    from isaac_inference.engines.tensorrt import compat

    return make_logger(compat.load(), TRT_LOG)


def make_logger(trt: Any, log: TrtLog) -> Any:
    """A tensorrt.ILogger that writes to a log."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            try:
                log.write(getattr(severity, 'name', str(severity)), msg)
            except KeyboardInterrupt:
                log.interrupted = True
            except Exception:
                log.lost += 1  # raised any further, it would end the process inside of TensorRT

    return Logger()
