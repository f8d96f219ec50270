# SPDX-License-Identifier: Apache-2.0
"""Whether a frame's stamps are of one clock, the camera's and the stages': else nobody knows what takes its time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from isaac_inference.serving.budgets.frame_times import Span

_AHEAD_MS = -1.0  # a frame cannot arrive before it was taken; so much may be rounding
_EARLY_MS = 2.0  # by which a stage may seem to have a frame before its forerunner is done with it: clocks are steered
_LONG_AGO_S = 365 * 24 * 3600.0  # stamps of a simulator, or of a camera that counts from its start


@dataclass
class CameraClock:
    """Looks at how old frames are when they arrive.

    Args:
        max_offset_s: a frame that seems older has a stamp of another clock.
        is_simulated: whether the time is a simulator's or a recording's, which no stage's clock is.
    """

    max_offset_s: float
    is_simulated: bool = False

    def problem(self, stamp_ns: int, arrived_ns: int) -> str:
        """Why a frame's stamp cannot be compared with this machine's clock, and what to do; '' where it can.

        Args:
            stamp_ns: of the camera; 0 for none.
            arrived_ns: in the first stage's mailbox, by this machine's clock.
        """
        if stamp_ns == 0:
            return 'frames have no stamp; have the camera driver fill in header.stamp'
        if self.is_simulated:
            return 'use_sim_time is set: stamps are of /clock, the times of the stages of this machine'
        age_s = (arrived_ns - stamp_ns) / 1e9
        if age_s * 1e3 < _AHEAD_MS:
            return (
                f"the camera's clock is ahead of this machine's by {duration(-age_s)} or more: frames arrive before "
                'they are taken; synchronise the clocks (chrony, PTP), or have the driver stamp with the system time'
            )
        if age_s > _LONG_AGO_S:
            return (
                f'stamps are {duration(age_s)} old on arrival: no wall clock, but that of a simulator, or of a camera '
                'since its start; set use_sim_time, or have the driver stamp with the system time'
            )
        if age_s > self.max_offset_s:
            return (
                f"stamps are {duration(age_s)} old on arrival: a recording, or the camera's clock is behind this "
                "machine's; synchronise the clocks (chrony, PTP), or raise max_clock_offset_s if frames do take that "
                'long'
            )
        return ''


def stage_clock_problem(spans: Sequence[Span]) -> str:
    """Why the stages' times cannot be compared with each other, and what to do; '' where they can.

    Args:
        spans: of stages that hand a frame on, one to the next, as one of them reports it.
    """
    for before, after in itertools.pairwise(spans):
        early_ms = (before.finished_ns - after.arrived_ns) / 1e6
        if early_ms > _EARLY_MS:
            return (
                f'a frame reaches {after.stage} {early_ms:.1f} ms before {before.stage} hands it on: they run on '
                'machines whose clocks differ; synchronise them (chrony, PTP)'
            )
    return ''


def duration(seconds: float) -> str:
    """'4.2 ms', '12.0 s', '3.1 h', '56.9 years'."""
    for limit, unit, name in ((1.0, 1e-3, 'ms'), (300.0, 1.0, 's'), (48 * 3600.0, 3600.0, 'h')):
        if seconds < limit:
            return f'{seconds / unit:.1f} {name}'
    days = seconds / 86400.0
    return f'{days:.1f} days' if days < 730 else f'{days / 365.25:.1f} years'
