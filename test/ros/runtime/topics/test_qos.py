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
BEST_EFFORT = QosParameters(reliability=Reliability.BEST_EFFORT)


def test_by_default_a_publisher_is_reliable_and_a_subscription_hears_everybody():
    assert QosParameters().offered().reliability == QoSReliabilityPolicy.RELIABLE
    assert QosParameters().offered().durability == QoSDurabilityPolicy.VOLATILE
    profile = QosParameters().requested()
    assert profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    assert profile.durability == QoSDurabilityPolicy.VOLATILE
    assert profile.history == QoSHistoryPolicy.KEEP_LAST
    assert profile.depth == 1
    assert profile.deadline.nanoseconds == 0


def test_every_setting_reaches_the_profile():
    chosen = build(
        QosParameters,
        {
            'reliability': 'reliable',
            'durability': 'transient_local',
            'depth': 7,
            'deadline_s': 0.25,
            'liveliness_lease_s': 0.1,
        },
    )
    for profile in (chosen.offered(), chosen.requested()):
        assert profile.reliability == QoSReliabilityPolicy.RELIABLE
        assert profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
        assert profile.depth == 7
        assert profile.deadline.nanoseconds == 250_000_000
        assert profile.liveliness_lease_duration.nanoseconds == 100_000_000


OFFERED = {
    'r': QosParameters(reliability=Reliability.RELIABLE).offered(),
    'b': QosParameters(reliability=Reliability.BEST_EFFORT).offered(),
    'R': LATCHED.offered(),
    'B': QosParameters(reliability=Reliability.BEST_EFFORT, durability=Durability.TRANSIENT_LOCAL).offered(),
}


@pytest.mark.parametrize(
    ('offers', 'reliable', 'latched'),
    [
        ('', False, False),
        ('r', True, False),
        ('b', False, False),
        ('rr', True, False),
        ('rb', False, False),
        ('R', True, True),
        ('RR', True, True),
        ('Rr', True, False),
        ('Rb', False, False),
        ('B', False, True),
        ('RB', False, True),
    ],
)
def test_auto_asks_for_what_all_publishers_offer(offers, reliable, latched):
    offered = [OFFERED[name] for name in offers]
    profile = QosParameters().requested(offered)
    assert (profile.reliability == QoSReliabilityPolicy.RELIABLE) is reliable
    assert (profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL) is latched
    assert all(incompatibility(offer, profile) == '' for offer in offered)


@pytest.mark.parametrize('name', OFFERED)
def test_what_is_set_is_asked_for_whatever_is_offered(name):
    strict = QosParameters(reliability=Reliability.RELIABLE, durability=Durability.VOLATILE)
    assert strict.requested([OFFERED[name]]) == strict.requested()
    assert not strict.follows
    assert QosParameters(reliability=Reliability.RELIABLE).follows_policy('durability')
    assert not QosParameters(reliability=Reliability.RELIABLE).follows_policy('reliability')


def test_latched_is_reliable_and_transient_local():
    assert QosParameters(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL) == LATCHED


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('reliability', 'RELIABLE', "one of 'auto', 'best_effort', 'reliable'"),
        ('reliability', 'system_default', "one of 'auto', 'best_effort', 'reliable'"),
        ('durability', 'latched', "one of 'auto', 'volatile', 'transient_local'"),
        ('depth', 0, r'whole number in \[1, 1000\]'),
        ('depth', 1001, r'whole number in \[1, 1000\]'),
        ('deadline_s', -0.1, 'number of at least 0'),
        ('liveliness_lease_s', -0.1, 'number of at least 0'),
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
        (QosParameters(), RELIABLE, True),
        (BEST_EFFORT, RELIABLE, False),
        (LATCHED, RELIABLE, True),
        (RELIABLE, LATCHED, False),
        (QosParameters(deadline_s=0.1), QosParameters(deadline_s=0.2), True),
        (QosParameters(deadline_s=0.2), QosParameters(deadline_s=0.1), False),
        (QosParameters(), QosParameters(deadline_s=0.1), False),
        (QosParameters(liveliness_lease_s=0.1), QosParameters(liveliness_lease_s=0.2), True),
        (QosParameters(liveliness_lease_s=0.2), QosParameters(liveliness_lease_s=0.1), False),
        (QosParameters(), QosParameters(liveliness_lease_s=0.1), False),
        (QosParameters(depth=1), QosParameters(depth=100), True),
    ],
)
def test_incompatibility_is_empty_exactly_where_messages_would_arrive(offered, requested, fits):
    assert (incompatibility(offered.offered(), requested.requested()) == '') is fits


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
