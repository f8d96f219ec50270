# SPDX-License-Identifier: Apache-2.0
"""Quality of service from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
    """A best-effort subscription also hears reliable publishers; a reliable one hears only reliable ones."""

    BEST_EFFORT = 'best_effort'
    RELIABLE = 'reliable'


class Durability(str, Enum):
    """A volatile subscription also hears transient-local publishers; the reverse is incompatible."""

    VOLATILE = 'volatile'
    TRANSIENT_LOCAL = 'transient_local'


@dataclass(frozen=True)
class QosParameters:
    """One topic's quality of service."""

    reliability: Reliability = param(Reliability.BEST_EFFORT, 'Reliability policy.')
    durability: Durability = param(Durability.VOLATILE, 'Durability policy.')
    depth: int = param(1, 'History depth; 1 keeps the newest message only.', unit='messages', minimum=1, maximum=1000)
    deadline_s: float = param(0.0, 'Longest expected gap between messages; 0 sets no deadline.', unit='s', minimum=0.0)

    def profile(self) -> QoSProfile:
        """The rclpy profile."""
        deadline = {'deadline': Duration(nanoseconds=int(self.deadline_s * 1e9))} if self.deadline_s else {}
        return QoSProfile(
            history=QoSHistoryPolicy.KEEP_LAST,
            depth=self.depth,
            reliability=QoSReliabilityPolicy[self.reliability.name],
            durability=QoSDurabilityPolicy[self.durability.name],
            **deadline,
        )


RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=10)
"""For results and reports, which are small and of which none should get lost."""
LATCHED = QosParameters(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL)


def incompatibility(offered: QoSProfile, requested: QoSProfile) -> str:
    """Why a subscription that requests `requested` would hear nothing from `offered`; '' when it would."""
    verdict, reason = qos_check_compatible(offered, requested)
    return str(reason) if verdict == QoSCompatibility.ERROR else ''


def policy_name(kind: QoSPolicyKind | int) -> str:
    """'reliability' for QoSPolicyKind.RELIABILITY, and so on."""
    return QoSPolicyKind(kind).name.lower()
