# SPDX-License-Identifier: Apache-2.0
"""This user's cache folder for files that can be recreated: engines, timing caches, compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path

from isaac_inference.errors import ConfigError


def cache_dir(kind: str, root: str | Path = '') -> Path:
    """A folder for one kind of file, created if missing, for this user alone (mode 0700).

    Its files are loaded as code, so a folder that others own or may write to is refused.

    Args:
        kind: the folder's name, such as 'engines'.
        root: its parent folder; empty for `$XDG_CACHE_HOME/isaac_inference`, which is `~/.cache/isaac_inference` if
            that variable is not set.

    Raises:
        ConfigError: it can't be created, or it isn't this user's alone.
    """
    base = Path(root).expanduser() if root else _default_root()
    path = base / kind
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise ConfigError(
            f'cache folder {path}: {error.strerror or error}; set cache_dir, or XDG_CACHE_HOME, to a folder that '
            'this user can write to'
        ) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ConfigError(
            f'cache folder {path}: it belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}, expected '
            f'user {os.getuid()} and no write permission for others, because its files are run as code; '
            f'chmod go-w {path}, or set cache_dir to a folder of your own'
        )
    return path


def _default_root() -> Path:
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'isaac_inference'
