# SPDX-License-Identifier: Apache-2.0
"""A lock between processes that is released when its holder exits, however it exits."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from isaac_inference.errors import EngineError

_POLL_S = 0.1


@contextlib.contextmanager
def file_lock(
    path: Path, on_wait: Callable[[str], None] | None = None, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the lock of this file; waits while another process, or another thread of this one, holds it.

    The kernel holds the lock (flock), so a killed holder leaves nothing locked. The file stays: removing it would
    let two processes lock two files of the same name.

    Args:
        path: the lock file, created if missing.
        on_wait: called once with the lock's holder, if there is a wait.
        cancelled: polled while waiting; true ends the wait with an EngineError.

    Raises:
        EngineError: the file can't be created or locked, or the wait was cancelled.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(
            f'{path}: the lock file cannot be created ({error.strerror}); set cache_dir to another folder'
        ) from error
    try:
        told, tries = on_wait is None, 0
        while not _try_lock(descriptor, path):
            holder = os.pread(descriptor, 32, 0).decode('ascii', 'replace').strip()
            tries += 1
            if not told and on_wait is not None and (holder or tries > 1):  # it writes its pid after locking
                on_wait(f'process {holder or "unknown"}')
                told = True
            if cancelled():
                raise EngineError(f'{path}: cancelled while waiting for another process')
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f'{os.getpid()}\n'.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    """True if the lock was taken, False if it is held elsewhere."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise EngineError(
            f'{path}: this file system cannot lock files ({error.strerror}); set cache_dir to a local folder'
        ) from error
    return True
