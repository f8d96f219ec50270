# SPDX-License-Identifier: Apache-2.0
"""Quality of service from YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    QoSCompatibility,
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_check_compatible,
)

from isaac_inference.ros.runtime.parameters.schema import param


class Reliability(str, Enum):
    """A best-effort subscription also hears reliable publishers; a reliable one hears only reliable ones.

    'auto': a publisher is reliable, so that everybody hears it; a subscription is where all its publishers are, since
    a large image that goes best-effort through small buffers rarely arrives whole.
    """

    AUTO = 'auto'
    BEST_EFFORT = 'best_effort'
    RELIABLE = 'reliable'


class Durability(str, Enum):
    """A volatile subscription also hears transient-local publishers; the reverse is incompatible.

    'auto': a publisher is volatile; a subscription is transient-local where all its publishers are.
    """

    AUTO = 'auto'
    VOLATILE = 'volatile'
    TRANSIENT_LOCAL = 'transient_local'


@dataclass(frozen=True)
class QosParameters:
    """One topic's quality of service."""

    reliability: Reliability = param(
        Reliability.AUTO, 'Reliability policy; auto: publishers are reliable, subscriptions ask for what is offered.'
    )
    durability: Durability = param(
        Durability.AUTO, 'Durability policy; auto: publishers are volatile, subscriptions ask for what is offered.'
    )
    depth: int = param(1, 'History depth; 1 keeps the newest message only.', unit='messages', minimum=1, maximum=1000)
    deadline_s: float = param(0.0, 'Longest expected gap between messages; 0 sets no deadline.', unit='s', minimum=0.0)
    liveliness_lease_s: float = param(
        0.0,
        'Longest silence of the process that publishes until it counts as gone; 0 asks for no sign of life.',
        unit='s',
        minimum=0.0,
    )

    def offered(self) -> QoSProfile:
        """What a publisher offers."""
        return self._profile(
            QoSReliabilityPolicy.RELIABLE if self.reliability is Reliability.AUTO else _policy(self.reliability),
            QoSDurabilityPolicy.VOLATILE if self.durability is Durability.AUTO else _policy(self.durability),
        )

    def requested(self, offers: Sequence[QoSProfile] = ()) -> QoSProfile:
        """What a subscription asks of publishers that offer `offers`; without any, what all of them could fulfil."""
        reliability, durability = strongest_request(offers)
        if self.reliability is not Reliability.AUTO:
            reliability = _policy(self.reliability)
        if self.durability is not Durability.AUTO:
            durability = _policy(self.durability)
        return self._profile(reliability, durability)

    @property
    def follows(self) -> bool:
        """Whether a subscription asks for what its publishers offer."""
        return any(map(self.follows_policy, ('reliability', 'durability')))

    def follows_policy(self, name: str) -> bool:
        """Whether a subscription asks for what its publishers offer of the policy 'reliability', 'durability', ..."""
        return getattr(self, name, None) in (Reliability.AUTO, Durability.AUTO)

    def _profile(self, reliability: QoSReliabilityPolicy, durability: QoSDurabilityPolicy) -> QoSProfile:
        timely = {'deadline': Duration(nanoseconds=round(self.deadline_s * 1e9))} if self.deadline_s else {}
        if self.liveliness_lease_s:
            timely['liveliness_lease_duration'] = Duration(nanoseconds=round(self.liveliness_lease_s * 1e9))
        return QoSProfile(
            history=QoSHistoryPolicy.KEEP_LAST,
            depth=self.depth,
            reliability=reliability,
            durability=durability,
            **timely,
        )


RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=10)
"""For reports, which are small and of which none should get lost."""
RESULTS = QosParameters(depth=10)
"""For results, which are small: published reliably, and heard as reliably as whoever publishes them offers."""
LATCHED = QosParameters(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL)


def strongest_request(offers: Sequence[QoSProfile]) -> tuple[QoSReliabilityPolicy, QoSDurabilityPolicy]:
    """The strongest policies of a subscription that all of these publishers fulfil; the weakest without any.

    Reliable if all are reliable, transient local if all are transient local: a stronger one would not match the weaker
    publishers.
    """
    is_reliable = all(offer.reliability == QoSReliabilityPolicy.RELIABLE for offer in offers)
    is_latched = all(offer.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return (
        QoSReliabilityPolicy.RELIABLE if offers and is_reliable else QoSReliabilityPolicy.BEST_EFFORT,
        QoSDurabilityPolicy.TRANSIENT_LOCAL if offers and is_latched else QoSDurabilityPolicy.VOLATILE,
    )


def in_words(profile: QoSProfile) -> str:
    """'best effort', 'reliable, latched' and so on: what decides who hears whom."""
    kind = 'reliable' if profile.reliability == QoSReliabilityPolicy.RELIABLE else 'best effort'
    return f'{kind}, latched' if profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL else kind


def incompatibility(offered: QoSProfile, requested: QoSProfile) -> str:
    """Why a subscription that requests `requested` would hear nothing from `offered`; '' when it would."""
    verdict, reason = qos_check_compatible(offered, requested)
    return str(reason) if verdict == QoSCompatibility.ERROR else ''


def policy_name(kind: QoSPolicyKind | int) -> str:
    """'reliability' for QoSPolicyKind.RELIABILITY, and so on."""
    return QoSPolicyKind(kind).name.lower()


def parameter_of(policy: str) -> str:
    """The parameter of `QosParameters` that sets a policy, by its `policy_name`."""
    return _PARAMETERS.get(policy, policy)


_PARAMETERS = {'deadline': 'deadline_s', 'liveliness': 'liveliness_lease_s'}


def _policy(chosen: Reliability | Durability) -> Any:
    """The rclpy policy of the same name."""
    kind = QoSReliabilityPolicy if isinstance(chosen, Reliability) else QoSDurabilityPolicy
    return kind[chosen.name]
