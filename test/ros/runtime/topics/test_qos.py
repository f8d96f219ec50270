# SPDX-License-Identifier: Apache-2.0
"""Quality of service from parameters to rclpy."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSPolicyKind, QoSReliabilityPolicy

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.topics.qos import (
    LATCHED,
    Durability,
    QosParameters,
    Reliability,
    incompatibility,
    policy_name,
)

RELIABLE = QosParameters(reliability=Reliability.RELIABLE)


def test_the_default_is_sensor_data_of_depth_one():
    profile = QosParameters().profile()
    assert profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    assert profile.durability == QoSDurabilityPolicy.VOLATILE
    assert profile.history == QoSHistoryPolicy.KEEP_LAST
    assert profile.depth == 1
    assert profile.deadline.nanoseconds == 0


def test_every_setting_reaches_the_profile():
    chosen = build(
        QosParameters, {'reliability': 'reliable', 'durability': 'transient_local', 'depth': 7, 'deadline_s': 0.25}
    )
    profile = chosen.profile()
    assert profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
    assert profile.depth == 7
    assert profile.deadline.nanoseconds == 250_000_000


def test_latched_is_reliable_and_transient_local():
    assert QosParameters(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL) == LATCHED


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('reliability', 'RELIABLE', "one of 'best_effort', 'reliable'"),
        ('reliability', 'system_default', "one of 'best_effort', 'reliable'"),
        ('durability', 'latched', "one of 'volatile', 'transient_local'"),
        ('depth', 0, r'whole number in \[1, 1000\]'),
        ('depth', 1001, r'whole number in \[1, 1000\]'),
        ('deadline_s', -0.1, 'number of at least 0'),
    ],
)
def test_a_wrong_setting_is_refused(name, value, expected):
    with pytest.raises(ConfigError, match=f'parameter {name}: .*expected {expected}'):
        build(QosParameters, {name: value})


@pytest.mark.parametrize(
    ('offered', 'requested', 'fits'),
    [
        (QosParameters(), QosParameters(), True),
        (RELIABLE, QosParameters(), True),
        (QosParameters(), RELIABLE, False),
        (LATCHED, RELIABLE, True),
        (RELIABLE, LATCHED, False),
        (QosParameters(deadline_s=0.1), QosParameters(deadline_s=0.2), True),
        (QosParameters(deadline_s=0.2), QosParameters(deadline_s=0.1), False),
        (QosParameters(), QosParameters(deadline_s=0.1), False),
        (QosParameters(depth=1), QosParameters(depth=100), True),
    ],
)
def test_incompatibility_is_empty_exactly_where_messages_would_arrive(offered, requested, fits):
    assert (incompatibility(offered.profile(), requested.profile()) == '') is fits


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        (QoSPolicyKind.RELIABILITY, 'reliability'),
        (QoSPolicyKind.DURABILITY, 'durability'),
        (int(QoSPolicyKind.DEADLINE), 'deadline'),
    ],
)
def test_policies_are_named_like_their_parameters(kind, name):
    assert policy_name(kind) == name
