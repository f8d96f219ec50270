# SPDX-License-Identifier: Apache-2.0
"""Which components a container process has, on disk: for the process that takes its place when it dies.

Nobody else loads them again: launch does so once, when it first starts the container.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from composition_interfaces.srv import LoadNode
from rclpy.logging import get_logging_directory
from rclpy.serialization import deserialize_message, serialize_message

from isaac_inference.errors import ConfigError


class Roster:
    """A file of load requests, one a line (base64 of the serialised message), in the order of loading.

    Args:
        path: the file.
        given: it was written by whoever starts the container, and outlives a clean end.
    """

    def __init__(self, path: Path, *, given: bool) -> None:
        self.path, self.given = path, given

    @classmethod
    def of_process(cls, name: str) -> Roster | None:
        """The roster of the container `name` (full name) that this process is, found again by the process that the same
        parent starts under the same name. None where the parent can't be told (no /proc).
        """
        parent = os.getppid()
        try:
            began = Path(f'/proc/{parent}/stat').read_text().rpartition(')')[2].split()[19]
        except (OSError, IndexError):
            return None
        file = f'components-{name.strip("/").replace("/", "-")}-of-{parent}-{began}'
        return cls(Path(get_logging_directory()) / file, given=False)

    def read(self) -> list[LoadNode.Request]:
        """The requests; none where there is no file.

        Raises:
            ConfigError: the file can't be read, another user may have written it, or it is none of ours.
        """
        try:
            with self.path.open(encoding='ascii') as file:
                status = os.fstat(file.fileno())
                lines = file.read().split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f'component list {self.path}: {error}; remove it, and load the components') from error
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise ConfigError(
                f'component list {self.path}: another user may have written it, expected a file of your own that only '
                'you can write; remove it, and load the components'
            )
        try:
            return [deserialize_message(base64.b64decode(line, validate=True), LoadNode.Request) for line in lines]
        except (binascii.Error, RuntimeError) as error:
            raise ConfigError(
                f'component list {self.path}: {error}, expected a load request in each line; remove it, and load the '
                'components'
            ) from error

    def write(self, requests: Iterable[LoadNode.Request]) -> None:
        """Replace the file in one step; an end in the middle leaves the old one.

        Raises:
            OSError: it can't be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [base64.b64encode(serialize_message(request)) + b'\n' for request in requests]
        unfinished = self.path.with_name(f'{self.path.name}.{os.getpid()}')
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'wb') as file:
            file.writelines(lines)
        unfinished.replace(self.path)

    def end(self) -> None:
        """The container ends as it should: nothing is to be loaded again, unless whoever starts it says so."""
        if not self.given:
            with contextlib.suppress(OSError):
                self.path.unlink()
