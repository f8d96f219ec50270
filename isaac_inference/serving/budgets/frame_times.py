# SPDX-License-Identifier: Apache-2.0
"""One frame's way through the stages, in parts that add up to the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from isaac_inference.serving.budgets.budget import stage_of


class Span(NamedTuple):
    """What one stage says of one frame, in ns of its host's wall clock: in its mailbox, taken up, handed on."""

    stage: str
    arrived_ns: int
    started_ns: int
    finished_ns: int


@dataclass(frozen=True)
class FrameTimes:
    """One frame, all times in ms.

    Attributes:
        stamp_ns: of the camera, by which the frame is known.
        total_ms: from the camera's stamp to the output; where the stamp cannot be used, from the first stage's mailbox.
        stages: each stage's part; they add up to the total. A stage's part is its work and the wait in its mailbox, as
            far as they come after what was before; what lies between the stages is 'transport'.
        camera_ms: from the stamp to the first stage's mailbox; negative for a stamp in the future.
        has_camera: whether the camera's part is in the total, and in `stages`.
    """

    stamp_ns: int
    total_ms: float
    stages: Mapping[str, float]
    camera_ms: float
    has_camera: bool = True


def frame_times(stamp_ns: int, spans: Iterable[Span], sent_ns: int | None, *, use_stamp: bool) -> FrameTimes:
    """From what the stages say to the parts of the whole.

    Args:
        stamp_ns: of the camera, ns.
        spans: one or more; a stage may be in it twice, as it is for two runs of a model.
        sent_ns: when the camera had published the frame, ns of the wall clock; None where that is not known: then the
            first hand-over counts as the camera's.
        use_stamp: whether the stamp is of the same clock as the spans.
    """
    spans = sorted(spans, key=lambda span: span.arrived_ns)
    first_ns = spans[0].arrived_ns
    parts: defaultdict[str, int] = defaultdict(int)
    begin_ns = first_ns
    if use_stamp:
        begin_ns = stamp_ns
        sent = first_ns if sent_ns is None else min(max(sent_ns, stamp_ns), first_ns)
        parts['camera'] = sent - stamp_ns
        parts['transport'] = first_ns - sent
    at_ns = first_ns
    for span in spans:
        parts['transport'] += max(0, span.arrived_ns - at_ns)
        parts[stage_of(span.stage)] += max(0, span.finished_ns - max(at_ns, span.arrived_ns))
        at_ns = max(at_ns, span.finished_ns)
    return FrameTimes(
        stamp_ns,
        (at_ns - begin_ns) / 1e6,
        {name: value / 1e6 for name, value in parts.items()},
        (first_ns - stamp_ns) / 1e6,
        use_stamp,
    )
