# SPDX-License-Identifier: Apache-2.0
"""What differs between the supported rclpy releases (Humble to Lyrical); handled only here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.subscription import Subscription

try:  # Iron and later
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError

__all__ = [
    'PublisherEventCallbacks',
    'SubscriptionEventCallbacks',
    'UnsupportedEventTypeError',
    'host_memory_options',
    'parameter_overrides',
    'release_lifecycle',
    'sequence_number',
    'shutdown_context',
    'with_message_info',
]


def parameter_overrides(node: Node) -> Mapping[str, Any]:
    """Values that YAML, the command line or a LoadNode request gave `node`, declared or not: name to value.

    rclpy has no public accessor for them; if the private one is missing, nothing is returned and a
    misspelt name in a YAML file goes unnoticed.
    """
    overrides = getattr(node, '_parameter_overrides', {})
    return {name: parameter.value for name, parameter in overrides.items()}


def release_lifecycle(node: LifecycleNode) -> None:
    """Release a destroyed node's state machine, which holds its handle: else it stays in the ROS graph until the
    garbage collector runs. Its state must not be queried afterwards.
    """
    machine = getattr(node, '_state_machine', None)
    if machine is not None and hasattr(machine, 'destroy_when_not_in_use'):
        machine.destroy_when_not_in_use()


def host_memory_options(node: Node) -> dict[str, Any]:
    """Options of `node.create_subscription` by which the bytes of messages arrive in host memory.

    From Lyrical on a subscription may accept buffers elsewhere, such as on a GPU ('cuda', 'any'). Ours read bytes, so
    they say 'cpu' themselves rather than rely on the default; before Lyrical there is nothing else.
    """
    known = inspect.signature(node.create_subscription).parameters
    return {'acceptable_buffer_backends': 'cpu'} if 'acceptable_buffer_backends' in known else {}


def with_message_info(callback: Callable[[Any, Any], None]) -> Callable[..., None]:
    """`callback(message, info)` as a subscription takes it; `info` is None on Humble, which gives the message alone."""
    return callback if hasattr(Subscription, 'CallbackType') else lambda message: callback(message, None)


def sequence_number(info: Any) -> int | None:
    """A message's number among those of its publisher, from what a callback is told beside it; None on Humble."""
    return info.get('publication_sequence_number') if isinstance(info, Mapping) else None


def shutdown_context(context: Context) -> None:
    """Shut `context` down unless it already is; later releases offer `try_shutdown` for this."""
    if hasattr(context, 'try_shutdown'):
        context.try_shutdown()
    elif context.ok():
        context.shutdown()
