# SPDX-License-Identifier: Apache-2.0
"""Reads and writes files that only this user may have written: engines and timing caches are run as code."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from isaac_inference.errors import EngineError


class RefusedFileError(EngineError):
    """A file that another user wrote, or may have written, where only this user's own files are loaded."""


def read_owned(path: Path) -> bytes:
    """A file's bytes, if it is a plain file of this user that no one else may write to; links are not followed.

    Raises:
        FileNotFoundError: there is none.
        RefusedFileError: it belongs to another user, others may write to it, or it is not a plain file.
        EngineError: it can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        what = 'a link' if path.is_symlink() else (error.strerror or str(error))
        raise RefusedFileError(
            f'{path}: refused ({what}), expected a plain file of this user, because it is run as code; remove it'
        ) from error
    with os.fdopen(descriptor, 'rb') as file:
        status = os.fstat(file.fileno())  # of the opened file, whatever the path refers to by now
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFileError(f'{path}: refused: not a plain file; remove it')
        if status.st_uid != os.getuid():
            raise RefusedFileError(
                f'{path}: refused: it belongs to user {status.st_uid}, expected {os.getuid()}, because it is run as '
                'code; remove it, or set cache_dir to a folder of your own'
            )
        if status.st_mode & 0o022:
            raise RefusedFileError(
                f'{path}: refused: others may write to it (mode {status.st_mode & 0o777:o}), and it is run as code; '
                'remove it to have it rebuilt'
            )
        try:
            return file.read()
        except OSError as error:
            raise EngineError(f'{path}: cannot be read ({error.strerror}); remove it') from error


def write_owned(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: readers see the old one or the new one, even after a power failure (mode 0600).

    Leftovers of a killed writer are named `.<name>.*.tmp` and never read.

    Raises:
        EngineError: the disk is full, or the folder can't be written to.
    """
    name = ''
    try:
        descriptor, name = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.tmp', dir=path.parent)
        with os.fdopen(descriptor, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise EngineError(
            f'{path}: {len(data) / 2**20:.1f} MiB cannot be written ({error.strerror or error}); make room there, '
            'or set cache_dir to another folder'
        ) from error
    finally:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)  # already gone if it was renamed
