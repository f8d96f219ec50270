# SPDX-License-Identifier: Apache-2.0
"""Type adaptation (the idea of REP 2007): one topic, a Python type inside a process, a ROS type on the wire."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True, eq=False)
class TypeAdapter(Generic[T]):
    """How a topic's in-process objects become messages and back.

    `message_type` is None where the message package isn't installed: such a topic works inside one
    process only. Publisher and subscription must use the same adapter object. `to_host` brings an object whose bytes
    are on a GPU into host memory, for subscriptions that don't ask for it as it is.
    """

    name: str
    message_type: type | None
    to_message: Callable[[T], Any]
    from_message: Callable[[Any], T]
    to_host: Callable[[T], T] = lambda item: item


@functools.cache
def plain(message_type: type) -> TypeAdapter[Any]:
    """The adapter of a topic whose in-process objects are the ROS messages themselves."""
    return TypeAdapter(message_type.__name__, message_type, lambda item: item, lambda message: message)
