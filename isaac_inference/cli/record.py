# SPDX-License-Identifier: Apache-2.0
"""isaac-inference record: topics into an MCAP file."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from isaac_inference.cli.shared.console import console
from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.bringup.session import ros_session
from isaac_inference.ros.recording import COMPRESSIONS, Recorder, RecordingWriter, Selection
from isaac_inference.ros.recording.recorder import TopicRecord
from isaac_inference.ros.runtime.container.spin import SpinThread

_LOOK_S = 0.1  # how often the limits are checked
_MB = 1e6


def add_command(commands: Any) -> None:
    """Add `record` to the command line."""
    command = commands.add_parser('record', help='record topics into an MCAP file')
    command.add_argument(
        '--output', default='', metavar='FILE', help='MCAP file; default: recording_<date>_<time>.mcap'
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        '--topics', nargs='+', default=[], metavar='NAME', help='only these topics, including ones that appear later'
    )
    which.add_argument('--all', action='store_true', help='also /rosout, /parameter_events and hidden topics')
    command.add_argument('--exclude', default='', metavar='REGEX', help='leave out topics whose name matches')
    command.add_argument(
        '--namespace', default='', metavar='NS', help='only topics under NS, plus /tf, /tf_static, /clock'
    )
    command.add_argument('--duration', type=float, default=0.0, metavar='S', help='stop after this time [s]')
    command.add_argument('--max-size', type=float, default=0.0, metavar='MB', help='stop at this size [MB]')
    command.add_argument('--compression', choices=COMPRESSIONS, default='zstd', help='default: zstd')
    command.add_argument('--force', action='store_true', help='replace the file if it exists')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Record until a limit, Ctrl-C or an error; 0 if at least one message was recorded."""
    for name in ('duration', 'max_size'):
        if not getattr(arguments, name) >= 0.0:
            raise ConfigError(f'--{name.replace("_", "-")}: got {getattr(arguments, name)}, expected 0 or more')
    if Path(arguments.output).suffix in ('.bag', '.db3'):
        raise ConfigError(f'--output {arguments.output}: recordings are MCAP files, expected a name ending in .mcap')
    selection = Selection(tuple(arguments.topics), arguments.all, arguments.exclude, arguments.namespace)
    path = arguments.output or f'recording_{datetime.now():%Y-%m-%d_%H-%M-%S}.mcap'
    screen = console()
    writer = RecordingWriter(path, compression=arguments.compression, force=arguments.force)
    with ros_session() as (context, stop):
        screen.print(f'recording to {writer.path}; Ctrl-C ends it')
        recorder = Recorder(writer, selection, screen.print, context=context)
        try:
            reason, seconds = _watch(recorder, arguments, stop)
        finally:
            failure = _finish(recorder)
    screen.print(_table(recorder, f'{writer.path}: {seconds:.1f} s, {recorder.bytes_written / _MB:.1f} MB; {reason}'))
    return _verdict(recorder, selection, failure)


def _watch(recorder: Recorder, arguments: argparse.Namespace, stop: threading.Event) -> tuple[str, float]:
    """Spin until something ends the recording; returns the reason and the seconds it took."""
    begin = time.monotonic()
    spin = SpinThread(recorder)
    try:
        while not stop.wait(_LOOK_S):
            seconds = time.monotonic() - begin
            if recorder.error is not None:
                return 'stopped by an error', seconds
            if arguments.duration and seconds >= arguments.duration:
                return 'the requested duration has passed', seconds
            if arguments.max_size and recorder.bytes_written >= arguments.max_size * _MB:
                return 'the requested size was reached', seconds
        return 'interrupted', time.monotonic() - begin
    finally:
        spin.stop()


def _finish(recorder: Recorder) -> PerceptionError | None:
    """Close the file; returns what went wrong, if anything."""
    try:
        recorder.finish()
    except PerceptionError as error:
        return error
    return None


def _table(recorder: Recorder, title: str) -> Table:
    table = Table('topic', 'type', 'messages', 'Hz', 'MB', 'lost', title=title)
    for record in recorder.records():
        numbers = (f'{record.count}', f'{record.rate_hz:.1f}', f'{record.bytes / _MB:.2f}')
        table.add_row(record.name, record.type_name, *numbers, _losses(record))
    return table


def _losses(record: TopicRecord) -> str:
    """Messages lost in transit, and those that came too fast for the disk."""
    lost = '?' if record.lost is None else str(record.lost)
    return f'{lost} in transit, {record.overflowed} at the disk' if record.overflowed else lost


def _verdict(recorder: Recorder, selection: Selection, failure: PerceptionError | None) -> int:
    records = recorder.records()
    if failure is not None:
        raise failure
    for record in records:
        if record.overflowed:
            print(
                f'{record.name}: {record.overflowed} messages arrived faster than they could be written; '
                'try --compression lz4 or none, a faster disk, or fewer topics',
                file=sys.stderr,
            )
    silent = [name for name in selection.named if name not in {record.name for record in records if record.count}]
    if silent:
        print(f'no messages on {", ".join(silent)}; does the topic exist, and is anything publishing?', file=sys.stderr)
    if not any(record.count for record in records):
        print("no message was recorded; is ROS_DOMAIN_ID the same as the robot's?", file=sys.stderr)
        return 1
    return 0
