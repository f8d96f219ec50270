# SPDX-License-Identifier: Apache-2.0
"""The records of an MCAP file: through its index, or sequentially as far as they are complete."""

from __future__ import annotations

import contextlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.libraries import mcap_module
from isaac_inference.ros.recording.storage.base import Entry

MAGIC = b'\x89MCAP0\r\n'


@dataclass(frozen=True)
class ChannelInfo:
    """A channel of the file with its schema and its number of messages."""

    topic: str
    encoding: str
    metadata: Mapping[str, str]
    type_name: str
    schema_encoding: str
    definition: str
    count: int


@dataclass(frozen=True)
class Records:
    """What a file holds; `indexed`: its chunks can be found by time; `problem`: why it ends early, '' if it doesn't."""

    channels: tuple[ChannelInfo, ...]
    first_ns: int
    last_ns: int
    indexed: bool
    problem: str


class WholeReads:
    """A file whose `read(n)` returns n bytes or raises: a truncated record is never mistaken for a short one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes; EOFError if the file has fewer, without allocating memory for them."""
        if count > self._size - self._file.tell():
            raise EOFError('the file ends within a record')
        return self._file.read(count)


def open_file(path: Path) -> IO[bytes]:
    """The file, opened.

    Raises:
        ConfigError: it is empty or not an MCAP file.
        OSError: it can't be opened.
    """
    file = open(path, 'rb')  # noqa: SIM115
    begin = file.read(len(MAGIC))
    if begin != MAGIC:
        file.close()
        fact = 'is empty' if not begin else f'is not an MCAP file, it begins with {begin!r}'
        raise ConfigError(f'{path}: {fact}; give a file from "isaac-inference record" or "ros2 bag record -s mcap"')
    file.seek(0)
    return file


def read_contents(file: IO[bytes]) -> Records:
    """From the index at the end; without one, from all records."""
    summary = _summary(file)
    if summary is None or summary.statistics is None:
        return _scanned(file)
    statistics = summary.statistics
    channels = tuple(
        _channel_info(channel, summary.schemas.get(channel.schema_id), statistics.channel_message_counts.get(number, 0))
        for number, channel in summary.channels.items()
    )
    first, last = statistics.message_start_time, statistics.message_end_time
    return Records(channels, first, last, bool(summary.chunk_indexes), '')


def read_messages(file: IO[bytes], topics: set[str], indexed: bool, is_cut: bool) -> Iterator[Entry]:
    """The messages of `topics`: by log time where the file is indexed, else in file order. One that `is_cut` ends with
    its last complete chunk.

    Raises:
        PerceptionError: it is damaged elsewhere.
    """
    if indexed:
        found = mcap_module('mcap.reader').SeekingReader(file, validate_crcs=True).iter_messages(list(topics))
        while (triple := _next(found, file)) is not None:
            yield _entry(triple[1].topic, triple[2])
        return
    records = mcap_module('mcap.records')
    names: dict[int, str] = {}
    for record in _records(file, None if is_cut else _raise_damaged):
        if isinstance(record, records.Channel):
            names[record.id] = record.topic
        elif isinstance(record, records.Message) and names.get(record.channel_id) in topics:
            yield _entry(names[record.channel_id], record)


def _entry(topic: str, message: Any) -> Entry:
    return Entry(topic, message.log_time, message.publish_time, message.data)


def _next(iterator: Iterator[Any], file: IO[bytes]) -> Any:
    """The next item, or None at the end."""
    try:
        return next(iterator, None)
    except Exception as error:  # the library, its decompressors and struct raise a dozen kinds
        _raise_unsupported(file, error)
        raise _damaged(file, error) from error


def _records(file: IO[bytes], on_damage: Any) -> Iterator[Any]:
    """All records in file order, chunks unpacked, up to the end or the first damage."""
    file.seek(0)
    reader = mcap_module('mcap.stream_reader').StreamReader(WholeReads(file), validate_crcs=True)
    found = iter(reader.records)
    while True:
        try:
            record = next(found, None)
        except Exception as error:  # as above
            _raise_unsupported(file, error)
            if on_damage is not None:
                on_damage(file, error)
            return
        if record is None:
            return
        yield record


def _scanned(file: IO[bytes]) -> Records:
    """Contents of a file without an index; everything after the first damage is lost."""
    records = mcap_module('mcap.records')
    counts = Counter[int]()
    times: list[int] = []  # the first and the last
    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}
    problems: list[str] = []
    is_ended = False
    for record in _records(file, lambda _, error: problems.append(f'{type(error).__name__}: {error}')):
        if isinstance(record, records.Schema):
            schemas[record.id] = record
        elif isinstance(record, records.Channel):
            channels[record.id] = record
        elif isinstance(record, records.Message):
            counts[record.channel_id] += 1
            times = [min([*times[:1], record.log_time]), max([*times[1:], record.log_time])]
        is_ended = is_ended or isinstance(record, records.DataEnd)
    problem = ''
    if problems or not is_ended:
        problem = (
            f'not finished ({problems[0] if problems else "no end mark"}): was the recorder killed? '
            f'The {sum(counts.values())} complete messages are used'
        )
    infos = tuple(_channel_info(item, schemas.get(item.schema_id), counts[item.id]) for item in channels.values())
    first, last = times or (0, 0)
    return Records(infos, first, last, False, problem)


def _summary(file: IO[bytes]) -> Any:
    """The index, or None where the file doesn't end as a finished one does."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - len(MAGIC)))
    is_finished = size > 2 * len(MAGIC) and file.read() == MAGIC
    file.seek(0)
    if not is_finished:
        return None
    with contextlib.suppress(Exception):  # an index that can't be read is none: the records are read instead
        return mcap_module('mcap.reader').SeekingReader(file).get_summary()
    return None


def _channel_info(channel: Any, schema: Any, count: int) -> ChannelInfo:
    name, encoding, data = (schema.name, schema.encoding, schema.data) if schema else ('', '', b'')
    text = data.decode('utf-8', 'replace')
    return ChannelInfo(channel.topic, channel.message_encoding, channel.metadata, name, encoding, text, count)


def _damaged(file: IO[bytes], error: Exception) -> PerceptionError:
    return PerceptionError(
        f'{file.name}: damaged near byte {file.tell()} ({type(error).__name__}: {error}); '
        '"mcap recover" of the MCAP tools saves what comes before and after'
    )


def _raise_damaged(file: IO[bytes], error: Exception) -> None:
    raise _damaged(file, error) from error


def _raise_unsupported(file: IO[bytes], error: Exception) -> None:
    """A missing decompressor is not damage."""
    if isinstance(error, mcap_module('mcap.exceptions').UnsupportedCompressionError):
        raise ConfigError(f'{file.name}: {error}; pip install zstandard lz4') from error
