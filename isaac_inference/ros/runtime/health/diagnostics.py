# SPDX-License-Identifier: Apache-2.0
"""Diagnostics messages: a node's status for /diagnostics, and per-frame stage timings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from isaac_inference.ros.runtime.assembly import assembler
from isaac_inference.ros.runtime.health.health import SUPERSEDED, Snapshot
from isaac_inference.ros.runtime.health.timing import StageTiming, total_ms

_pair = assembler(KeyValue, 'key', 'value')
_status = assembler(DiagnosticStatus, 'level', 'name', 'message', 'hardware_id', 'values')
_array = assembler(DiagnosticArray, 'header', 'status')

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


def judge(snapshot: Snapshot, *, state: str, silence: str = '', unsteady: str = '') -> tuple[bytes, str]:
    """(level, message) of a node: the worst that is true of it now.

    Args:
        state: lifecycle state label.
        silence: why its primary input is quiet, in words; '' where it is not, or may be.
        unsteady: what is to be said of a primary input that comes and goes, or ''.
    """
    errors = [text for is_error, text in snapshot.problems if is_error]
    if errors:
        return ERROR, '; '.join(errors)
    if state != 'active':
        return WARN, '; '.join([*(text for _, text in snapshot.problems), f'not active: {state}'])
    if silence:
        return STALE, silence
    warnings = [*_others(snapshot), *(text for _, text in snapshot.problems), *([unsteady] if unsteady else [])]
    if drops := dropped(snapshot):
        return WARN if snapshot.recent_processed else ERROR, '; '.join([drops, *warnings])
    if warnings:
        return WARN, '; '.join(warnings)
    return OK, _running(snapshot)


def dropped(snapshot: Snapshot) -> str:
    """Which frames were dropped lately, for which faults; '' where none was."""
    which = 'frames' if snapshot.recent_processed else 'every frame'
    return f'{which} dropped: {_counted(snapshot.faults)}' if snapshot.faults else ''


def _others(snapshot: Snapshot) -> list[str]:
    """What is wrong beside the frames themselves: messages of other inputs, and what is in the frames."""
    found = []
    if snapshot.recent_refusals:
        found.append(f'messages of other inputs dropped: {_counted(snapshot.recent_refusals)}')
    if snapshot.recent_kept == 0 and snapshot.recent_skips:
        found.append(f'nothing comes out of the frames, everything is left out: {_counted(snapshot.recent_skips)}')
    return found


def _running(snapshot: Snapshot) -> str:
    """'running', and how many frames are taken where more come than the node has time for."""
    if not snapshot.recent_drops.get(SUPERSEDED):
        return 'running'
    return (
        f'running; takes the newest {snapshot.rate_out_hz:.0f} of {snapshot.rate_in_hz:.0f} frames per second, as '
        'more come than it has time for'
    )


def status(name: str, hardware: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
    """One status with its key-value pairs as text."""
    made: DiagnosticStatus = _status(
        level, name, message, hardware, [_pair(key, _text(value)) for key, value in values.items()]
    )
    return made


def figures(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot's key-value pairs: rates in Hz, times in ms, counts since activation.

    All are of frames, the messages of the primary input; only `dropped_other` counts messages of other inputs.
    `dropped.<reason>` says why, of both. Values that the node shows besides come last.
    """
    values: dict[str, object] = {
        'rate_in_hz': snapshot.rate_in_hz,
        'rate_out_hz': snapshot.rate_out_hz,
    }
    values.update({f'{name}_ms': value for name, value in snapshot.percentiles_ms.items()})
    for name, found in snapshot.measured.items():
        values.update({f'{name}.{percentile}': value for percentile, value in found.items()})
    if snapshot.input_age_ms is not None:
        values['input_age_ms'] = snapshot.input_age_ms
    values.update(received=snapshot.received, processed=snapshot.processed, dropped=sum(snapshot.drops.values()))
    if snapshot.refusals:
        values['dropped_other'] = sum(snapshot.refusals.values())
    reasons = Counter(snapshot.drops) + Counter(snapshot.refusals)
    values.update({f'dropped.{reason}': count for reason, count in sorted(reasons.items())})
    values.update({f'skipped.{reason}': count for reason, count in sorted(snapshot.skips.items())})
    values.update({f'noted.{reason}': count for reason, count in sorted(snapshot.notes.items())})
    values.update(snapshot.shown)
    return values


THINNED_STATUS = 'thinned'
"""Name of the one status of a frame that a stage leaves out on purpose, in the place of its timings."""


def thinned_message(header: Header) -> DiagnosticArray:
    """What a stage reports, in place of its timings, of a frame that it leaves out on purpose."""
    message: DiagnosticArray = _array(header, [status(THINNED_STATUS, '', OK, '', {})])
    return message


def is_thinned(message: DiagnosticArray) -> bool:
    """Whether a report is one of `thinned_message`."""
    return any(item.name == THINNED_STATUS for item in message.status)


def timings_message(header: Header, timings: Iterable[StageTiming]) -> DiagnosticArray:
    """One frame's stage timings: a status per stage (wait_ms, work_ms, its three stamps), and a last one, 'total'."""
    timings = tuple(timings)
    statuses = [
        status(
            timing.stage,
            '',
            OK,
            '',
            {
                'wait_ms': timing.wait_ms,
                'work_ms': timing.work_ms,
                'arrived_ns': timing.arrived_ns,
                'started_ns': timing.started_ns,
                'finished_ns': timing.finished_ns,
            },
        )
        for timing in timings
    ]
    statuses.append(status('total', '', OK, '', {'total_ms': total_ms(timings)}))
    message: DiagnosticArray = _array(header, statuses)
    return message


def parse_timings(message: DiagnosticArray) -> tuple[StageTiming, ...]:
    """The inverse of `timings_message`."""
    stages = ((item.name, {pair.key: pair.value for pair in item.values}) for item in message.status)
    return tuple(
        StageTiming(name, *(int(values[key]) for key in ('arrived_ns', 'started_ns', 'finished_ns')))
        for name, values in stages
        if 'arrived_ns' in values
    )


def _counted(reasons: Mapping[str, int]) -> str:
    return ', '.join(f'{reason} x{count}' for reason, count in reasons.items())


def _text(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
