# SPDX-License-Identifier: Apache-2.0
"""Shifting the stamps of recorded messages to now; equal stamps stay equal, so that messages stay paired."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

from isaac_inference.ros.recording.message_definition import message_class

_HEADER = 'std_msgs/Header'
_ENCAPSULATION = 4  # bytes before the first field; the second says how numbers are stored
_LITTLE, _BIG = b'\x00\x01', b'\x00\x00'


def shift_stamps(data: bytes, type_name: str, moved: Callable[[int], int]) -> bytes:
    """The message with each `Header.stamp` replaced by `moved(nanoseconds)`; zero stamps stay zero.

    A message whose only header comes first is patched in its bytes; only others are decoded.
    """
    kind: Any = message_class(type_name)
    if not _header_count(kind):
        return data
    if _leads_with_only_header(kind) and data[:2] in (_LITTLE, _BIG):
        layout = '<iI' if data[:2] == _LITTLE else '>iI'
        second, nanosecond = struct.unpack_from(layout, data, _ENCAPSULATION)
        result = bytearray(data)
        struct.pack_into(layout, result, _ENCAPSULATION, *_moved(second, nanosecond, moved))
        return bytes(result)
    message = deserialize_message(data, kind)
    _walk(message, moved)
    return serialize_message(message)


def _moved(second: int, nanosecond: int, moved: Callable[[int], int]) -> tuple[int, int]:
    if not second and not nanosecond:
        return 0, 0
    return divmod(max(0, moved(second * 1_000_000_000 + nanosecond)), 1_000_000_000)


def _walk(message: Any, moved: Callable[[int], int]) -> None:
    for name, field in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if field == _HEADER:
            value.stamp.sec, value.stamp.nanosec = _moved(value.stamp.sec, value.stamp.nanosec, moved)
        elif '/' in field and _header_count(message_class(_element(field))):
            for item in [value] if hasattr(value, 'get_fields_and_field_types') else value:
                _walk(item, moved)


@functools.cache
def _header_count(kind: Any) -> int:
    """How many fields, at any depth, are headers."""
    fields = [_element(field) for field in kind.get_fields_and_field_types().values() if '/' in field]
    return sum(1 if field == _HEADER else _header_count(message_class(field)) for field in fields)


@functools.cache
def _leads_with_only_header(kind: Any) -> bool:
    return next(iter(kind.get_fields_and_field_types().values())) == _HEADER and _header_count(kind) == 1


def _element(field: str) -> str:
    """'geometry_msgs/Pose' from 'sequence<geometry_msgs/Pose, 5>' or 'geometry_msgs/Pose[3]'."""
    return field.removeprefix('sequence<').split(',')[0].split('[')[0].rstrip('>')
