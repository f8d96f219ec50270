# SPDX-License-Identifier: Apache-2.0
"""Writing a recording."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.libraries import mcap_module
from isaac_inference.ros.recording.message_definition import message_definition, type_name_of
from isaac_inference.ros.recording.qos_profiles import profiles_to_yaml

COMPRESSIONS = ('zstd', 'lz4', 'none')
_CHUNK_BYTES = 1 << 20
_BAG_VERSION = 4  # of rosbag2's metadata: the newest whose fields all of its readers know
_ADVICE = {
    errno.ENOSPC: 'the disk is full: free some space, or record fewer topics, use --max-size, or another disk',
    errno.EDQUOT: 'your disk quota is used up: free some space or record to another disk',
    errno.EFBIG: 'the file has reached the size that this file system or your limits allow: record with --max-size',
    errno.EACCES: 'no permission to write there: choose another file with --output',
    errno.EPERM: 'no permission to write there: choose another file with --output',
    errno.EROFS: 'the file system is read-only: choose another file with --output',
    errno.EISDIR: 'that is a folder: give a file in it',
    errno.EEXIST: 'a part of that path is a file: choose another one with --output',
    errno.ENOTDIR: 'a part of that path is a file: choose another one with --output',
}


class RecordingWriter:
    """Writes messages to an MCAP file that `ros2 bag` and Foxglove open; safe for one thread at a time.

    What `flush()` has written survives the death of the process (not a power failure), and can be read although the
    file then has no index.

    Args:
        path: the file, named *.mcap so that other tools recognise it; its folder is created.
        compression: one of `COMPRESSIONS`, for each chunk of about 1 MB.
        force: replace an existing file.

    Raises:
        ConfigError: the file exists or can't be made, the library or the compression is missing.
    """

    def __init__(self, path: str | os.PathLike[str], *, compression: str = 'zstd', force: bool = False) -> None:
        library = mcap_module('mcap.writer')
        if compression not in COMPRESSIONS:
            raise ConfigError(f'compression {compression!r}: expected one of {", ".join(COMPRESSIONS)}')
        self.path = Path(path).expanduser()
        if self.path.exists() and not force:
            raise ConfigError(f'{self.path} already exists; choose another name, or replace it with --force')
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, 'wb' if force else 'xb')  # noqa: SIM115
        except OSError as error:
            raise ConfigError(_in_words(self.path, error)) from error
        self._channels: dict[str, int] = {}
        self._topics: dict[str, str] = {}
        self._schemas: dict[str, int] = {}
        self._count, self._first_ns, self._last_ns = 0, 0, 0
        kind = getattr(library.CompressionType, compression.upper())
        try:
            with self._failing():
                self._writer = library.Writer(self._file, chunk_size=_CHUNK_BYTES, compression=kind)
                self._writer.start(profile='ros2')
                self._file.flush()  # from here on it can be read, though it is empty
        except mcap_module('mcap.exceptions').UnsupportedCompressionError as error:
            self._file.close()
            self.path.unlink()
            package = {'zstd': 'zstandard'}.get(compression, compression)
            raise ConfigError(f'compression {compression}: {error}; pip install {package}') from error

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bytes_written(self) -> int:
        """Size of the file so far, without the chunk in progress (at most about 1 MB and one message)."""
        return self._file.tell() if not self._file.closed else self.path.stat().st_size

    def write(
        self,
        topic: str,
        message: Any,
        log_time_ns: int,
        publish_time_ns: int | None = None,
        qos: Sequence[QoSProfile] = (),
    ) -> None:
        """Add one ROS message.

        Args:
            topic: full name, such as '/image'; every message of a topic has the same type.
            message: a ROS message of any installed type.
            log_time_ns: nanoseconds; messages are read in this order.
            publish_time_ns: nanoseconds; None: the same.
            qos: what the topic's publishers offer; only read with the topic's first message.

        Raises:
            ConfigError: another type than before.
            PerceptionError: it can't be written, such as on a full disk.
        """
        published = log_time_ns if publish_time_ns is None else publish_time_ns
        self.write_raw(topic, type_name_of(type(message)), serialize_message(message), log_time_ns, published, qos)

    def write_raw(
        self,
        topic: str,
        type_name: str,
        data: bytes,
        log_time_ns: int,
        publish_time_ns: int,
        qos: Sequence[QoSProfile] = (),
        sequence: int = 0,
    ) -> None:
        """Like `write`, with a message that is already serialised (CDR with its four bytes of encapsulation)."""
        with self._failing():
            channel = self._channels.get(topic)
            if channel is None:
                channel = self._add_channel(topic, type_name, qos)
            elif self._topics[topic] != type_name:
                raise ConfigError(
                    f'{topic}: recorded as {self._topics[topic]}, got {type_name}; a topic has one type in a recording'
                )
            self._writer.add_message(channel, log_time_ns, data, publish_time_ns, sequence & 0xFFFFFFFF)
        self._first_ns = min(self._first_ns, log_time_ns) if self._count else log_time_ns
        self._last_ns = max(self._last_ns, log_time_ns)
        self._count += 1

    def flush(self) -> None:
        """End the chunk in progress and hand everything to the operating system.

        Raises:
            PerceptionError: it can't be written.
        """
        with self._failing():
            self._writer.flush()

    def close(self) -> None:
        """Write the index and close the file; safe to call twice.

        Raises:
            PerceptionError: the index can't be written; the messages before it can still be read.
        """
        if self._file.closed:
            return
        with self._failing():
            self._writer.add_metadata('rosbag2', {'serialized_metadata': self._bag_metadata()})
            self._writer.finish()
            self._file.close()

    def _add_channel(self, topic: str, type_name: str, qos: Sequence[QoSProfile]) -> int:
        schema = self._schemas.get(type_name)
        if schema is None:
            text = message_definition(type_name).encode()
            schema = self._schemas[type_name] = self._writer.register_schema(type_name, 'ros2msg', text)
        metadata = {'offered_qos_profiles': profiles_to_yaml(qos) if qos else ''}
        self._topics[topic] = type_name
        self._channels[topic] = self._writer.register_channel(topic, 'cdr', schema, metadata)
        return self._channels[topic]

    def _bag_metadata(self) -> str:
        """What `ros2 bag` keeps beside its files; without it some releases misread the QoS. It takes topics and their
        counts from the file's own index.
        """
        return yaml.safe_dump(
            {
                'version': _BAG_VERSION,
                'storage_identifier': 'mcap',
                'duration': {'nanoseconds': self._last_ns - self._first_ns if self._count else 0},
                'starting_time': {'nanoseconds_since_epoch': self._first_ns},
                'message_count': self._count,
                'topics_with_message_count': [],
                'compression_format': '',
                'compression_mode': '',
                'relative_file_paths': [self.path.name],
            },
            sort_keys=False,
        )

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turns any failure of the file into one error that says what to do; the file is closed as it is."""
        if self._file.closed:
            raise PerceptionError(f'{self.path} is closed; nothing more can be written to it')
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.close()
            raise PerceptionError(_in_words(self.path, error)) from error


def _in_words(path: Path, error: OSError) -> str:
    advice = _ADVICE.get(error.errno or 0, 'check the path and the disk')
    return f'{path} cannot be written ({error.strerror or error}): {advice}'
