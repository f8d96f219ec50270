# SPDX-License-Identifier: Apache-2.0
"""Why objects of a frame have no pose, as diagnostic_msgs/DiagnosticArray, and back.

The header is the frame's; each status is one detection: `name` is its class, `message` says why in words, and values
are its `row` in the array of the same stamp, its `id`, and the `reason` under which diagnostics count it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from isaac_inference.errors import FrameError


@dataclass(frozen=True)
class LeftOut:
    """One detection without a pose."""

    row: int
    identity: str
    label: str
    reason: str
    text: str


def left_out_array(header: Header, objects: Sequence[LeftOut]) -> DiagnosticArray:
    """A message of a frame."""
    return DiagnosticArray(
        header=header,
        status=[
            DiagnosticStatus(
                level=DiagnosticStatus.WARN,
                name=item.label,
                message=item.text,
                values=[
                    KeyValue(key=key, value=value)
                    for key, value in (('row', str(item.row)), ('id', item.identity), ('reason', item.reason))
                ],
            )
            for item in objects
        ],
    )


def read_left_out(message: DiagnosticArray) -> list[LeftOut]:
    """The objects of a message.

    Raises:
        FrameError: 'bad_left_out', it is another kind of report.
    """
    found = []
    for status in message.status:
        values = {pair.key: pair.value for pair in status.values}
        if not {'row', 'id', 'reason'} <= values.keys() or not values['row'].isdecimal():
            raise FrameError(
                'bad_left_out',
                f'{status.name or "a status"}: got {", ".join(sorted(values)) or "no values"}, expected row, id and '
                "reason; is the topic remapped to other diagnostics than the pose node's left_out?",
            )
        found.append(LeftOut(int(values['row']), values['id'], status.name, values['reason'], status.message))
    return found
