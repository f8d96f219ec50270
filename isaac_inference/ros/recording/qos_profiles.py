# SPDX-License-Identifier: Apache-2.0
"""Quality of service of recorded topics: what to request, what to offer on replay, and its form in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from isaac_inference.ros.runtime.topics.qos import strongest_request

RELIABLE, BEST_EFFORT = QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT
TRANSIENT_LOCAL, VOLATILE = QoSDurabilityPolicy.TRANSIENT_LOCAL, QoSDurabilityPolicy.VOLATILE

_DEPTH = 50  # messages; more than a second of a camera
_LONGEST_DEPTH = 1000
_FOREVER = {'sec': 9223372036, 'nsec': 854775807}  # how rmw writes "no limit"
_KEEP_LAST, _AUTOMATIC = 1, 1  # rmw's numbers; history and liveliness of a publisher are not queried


def request_for(offers: Sequence[QoSProfile]) -> QoSProfile:
    """The strongest subscription that is compatible with all of the publishers, of which there is at least one."""
    reliability, durability = strongest_request(offers)
    return QoSProfile(depth=_DEPTH, reliability=reliability, durability=durability)


def is_weaker(profile: QoSProfile, than: QoSProfile) -> bool:
    """Whether a subscription with `profile` matches publishers that one with `than` doesn't."""
    return (than.reliability == RELIABLE and profile.reliability != RELIABLE) or (
        than.durability == TRANSIENT_LOCAL and profile.durability != TRANSIENT_LOCAL
    )


def offer_for(recorded: Sequence[QoSProfile], count: int) -> QoSProfile:
    """The publisher that stands in for the recorded ones: as strong as the strongest, so that every subscription that
    matched one of them matches it. A latched one keeps all `count` messages, up to a thousand: they may come from
    several publishers.
    """
    is_latched = any(profile.durability == TRANSIENT_LOCAL for profile in recorded)
    is_reliable = not recorded or any(profile.reliability == RELIABLE for profile in recorded)
    return QoSProfile(
        depth=min(max(_DEPTH, count), _LONGEST_DEPTH) if is_latched else _DEPTH,
        reliability=RELIABLE if is_reliable else BEST_EFFORT,
        durability=TRANSIENT_LOCAL if is_latched else VOLATILE,
    )


def profiles_to_yaml(profiles: Iterable[QoSProfile]) -> str:
    """The channel metadata `offered_qos_profiles` of `ros2 bag`, with rmw's numbers for the policies, which all of its
    releases read.
    """
    return yaml.safe_dump(
        [
            {
                'history': _KEEP_LAST,
                'depth': int(profile.depth) or 1,
                'reliability': int(profile.reliability),
                'durability': int(profile.durability),
                'deadline': dict(_FOREVER),
                'lifespan': dict(_FOREVER),
                'liveliness': _AUTOMATIC,
                'liveliness_lease_duration': dict(_FOREVER),
                'avoid_ros_namespace_conventions': False,
            }
            for profile in profiles
        ],
        sort_keys=False,
    )


def profiles_from_yaml(text: str) -> tuple[QoSProfile, ...]:
    """Reads `offered_qos_profiles` as any release of `ros2 bag` writes it, numbers or words; () if it can't be
    parsed.
    """
    try:
        items = yaml.safe_load(text) if text else []
    except yaml.YAMLError:
        return ()
    found = []
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict):
            found.append(profile_of(item.get('reliability'), item.get('durability'), item.get('depth')))
    return tuple(found)


def profile_of(reliability: Any, durability: Any, depth: Any = None) -> QoSProfile:
    """A recorded profile from rmw's numbers or words, such as 'best_effort'."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=_depth(depth),
        reliability=_policy(QoSReliabilityPolicy, reliability, RELIABLE),
        durability=_policy(QoSDurabilityPolicy, durability, VOLATILE),
    )


def _depth(value: Any) -> int:
    return min(value, _LONGEST_DEPTH) if isinstance(value, int) and value > 0 else _DEPTH


def _policy(kind: Any, value: Any, default: Any) -> Any:
    """The policy for rmw's number or word; `default` if the recorder didn't know it."""
    try:
        found = kind[value.upper()] if isinstance(value, str) else kind(value)
    except (KeyError, ValueError):
        return default
    return found if found in (RELIABLE, BEST_EFFORT, TRANSIENT_LOCAL, VOLATILE) else default
