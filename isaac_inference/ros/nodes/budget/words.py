# SPDX-License-Identifier: Apache-2.0
"""What a budget node says: a level, a sentence, and the figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isaac_inference.ros.nodes.budget.frames import WatchedFrames
from isaac_inference.ros.runtime.health.diagnostics import ERROR, OK, STALE, WARN
from isaac_inference.serving.budgets.check import BudgetReport, Level, Share

_LEVELS = {Level.OK: OK, Level.WARN: WARN, Level.ERROR: ERROR}


@dataclass(frozen=True)
class Said:
    """One report.

    Attributes:
        level: of DiagnosticStatus.
        text: in words.
        values: key-value pairs: times in ms, rates in Hz, counts since activation.
        problems: for the node's own diagnostics: key -> (whether it is an error, text or None where it is over).
    """

    level: bytes
    text: str
    values: Mapping[str, object]
    problems: Mapping[str, tuple[bool, str | None]]


def say(frames: WatchedFrames, target_hz: float, timeout_s: float, now_ns: int) -> Said:
    """What is true of the frames since the last call; `now_ns` is of the monotonic clock."""
    report = None if frames.check is None else frames.check.report()
    rate = frames.guard.report(target_hz, now_ns)
    clock, stage_clock = frames.take_clock_problems()
    level = Level.OK if report is None else report.level
    problems: dict[str, tuple[bool, str | None]] = {
        'budget_lasting': (True, report.text if report is not None and level is Level.ERROR else None),
        'budget': (False, report.text if report is not None and level is Level.WARN else None),
        'rate': (False, rate.text or None),
        'camera_clock': (False, f'{clock}; until then frames are compared from their arrival on' if clock else None),
        'stage_clock': (False, stage_clock or None),
        'silent_nodes': (False, _silent_nodes(frames, level)),
        'camera_info': (False, _OTHER_CAMERA if frames.is_other_camera else None),
    }
    texts = [text for _, text in problems.values() if text]
    values = {**_figures(frames, report), 'rate_hz': rate.rate_hz, 'target_rate_hz': target_hz or 'none'}
    values['bottleneck'] = rate.bottleneck or 'none'
    silence = _silence(frames, timeout_s, now_ns)
    if level is Level.ERROR:
        return Said(ERROR, '; '.join(texts), values, problems)
    if silence:
        return Said(STALE, '; '.join([silence, *texts]), values, problems)
    if texts:
        return Said(WARN, '; '.join(texts), values, problems)
    return Said(OK, report.text if report is not None else f'{rate.rate_hz:.1f} frames per second', values, problems)


_OTHER_CAMERA = (
    'camera_info: its stamps are those of no frame, so frames that no stage reports are not missed; remap it to the '
    'CameraInfo of this camera, whose stamps must equal those of the images'
)


def _silent_nodes(frames: WatchedFrames, level: Level) -> str | None:
    if level is Level.OK or not frames.silent_places:
        return None
    names = ', '.join(sorted(frames.silent_places))
    return f'nodes: no timings so far of {names}; is the name right, and does it run?'


def _silence(frames: WatchedFrames, timeout_s: float, now_ns: int) -> str:
    if frames.last_ns is None:
        return 'no frame yet: neither a CameraInfo nor the timings of a stage have come; see the status of the stages'
    if frames.check is not None and not frames.check.totals['frames']:
        silent = ', '.join(sorted(frames.silent_places))
        return 'no frame has come out yet' + (f'; no timings so far of {silent}' if silent else '')
    quiet_s = (now_ns - frames.last_ns) / 1e9
    return f'no frame for {quiet_s:.1f} s; see the status of the stages' if quiet_s > timeout_s else ''


def _figures(frames: WatchedFrames, report: BudgetReport | None) -> dict[str, object]:
    values: dict[str, object] = {}
    if frames.check is not None and report is not None:
        budget = frames.check.budget
        values['budget'] = budget.name
        for share in report.shares:
            values.update(_share(share))
        values['max_allowed_processing_time_ms'] = budget.max_allowed_processing_time_ms
        values['max_acceptable_consecutive_delay_ms'] = budget.max_acceptable_consecutive_delay_ms
        values.update({name: frames.check.totals[name] for name in ('frames', 'late', 'missing')})
    if frames.camera_ms is not None:
        values['stamp_age_ms'] = frames.camera_ms  # on arrival at the first stage
    return values


def _share(share: Share) -> dict[str, object]:
    name = share.name
    values: dict[str, object] = {f'{name}.{key}_ms': getattr(share, key) for key in ('p50', 'p95', 'p99')}
    if share.budget_ms is not None and share.left is not None:
        values[f'{name}.budget_ms'] = share.budget_ms
        values[f'{name}.left_percent'] = f'{100 * share.left:.0f}'
    return values
