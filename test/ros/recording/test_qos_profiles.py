# SPDX-License-Identifier: Apache-2.0
"""Which quality of service a recorder asks for and a player offers, and how files say it."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSProfile

from isaac_inference.ros.recording.qos_profiles import (
    BEST_EFFORT,
    RELIABLE,
    TRANSIENT_LOCAL,
    VOLATILE,
    is_weaker,
    offer_for,
    profiles_from_yaml,
    profiles_to_yaml,
    request_for,
)


def qos(reliability=RELIABLE, durability=VOLATILE, depth=1):
    return QoSProfile(depth=depth, reliability=reliability, durability=durability)


def kinds(profile):
    return profile.reliability, profile.durability


LATCHED = qos(durability=TRANSIENT_LOCAL)


@pytest.mark.parametrize(
    ('offers', 'expected'),
    [
        ([qos()], (RELIABLE, VOLATILE)),
        ([LATCHED, LATCHED], (RELIABLE, TRANSIENT_LOCAL)),
        ([LATCHED, qos()], (RELIABLE, VOLATILE)),
        ([qos(), qos(BEST_EFFORT)], (BEST_EFFORT, VOLATILE)),
    ],
)
def test_a_request_hears_all_publishers(offers, expected):
    assert kinds(request_for(offers)) == expected


def test_weaker_is_what_hears_more():
    assert is_weaker(qos(BEST_EFFORT), qos())
    assert is_weaker(qos(), LATCHED)
    assert not is_weaker(qos(), qos(BEST_EFFORT))
    assert not is_weaker(LATCHED, LATCHED)


@pytest.mark.parametrize(
    ('recorded', 'expected'),
    [
        ([], (RELIABLE, VOLATILE)),
        ([qos(BEST_EFFORT)], (BEST_EFFORT, VOLATILE)),
        ([qos(BEST_EFFORT), LATCHED], (RELIABLE, TRANSIENT_LOCAL)),
    ],
)
def test_an_offer_satisfies_whoever_heard_one_of_the_recorded(recorded, expected):
    assert kinds(offer_for(recorded, 1)) == expected


def test_a_latched_offer_keeps_every_recorded_message_within_reason():
    assert offer_for([LATCHED], 200).depth == 200
    assert offer_for([LATCHED], 10**6).depth == 1000


def test_profiles_survive_a_file():
    given = [qos(BEST_EFFORT, depth=7), LATCHED]
    assert [(*kinds(item), item.depth) for item in profiles_from_yaml(profiles_to_yaml(given))] == [
        (BEST_EFFORT, VOLATILE, 7),
        (RELIABLE, TRANSIENT_LOCAL, 1),
    ]


@pytest.mark.parametrize(
    'text',
    [
        '- {history: 1, depth: 3, reliability: 1, durability: 1}',
        '- history: keep_last\n  depth: 3\n  reliability: reliable\n  durability: transient_local\n',
    ],
)
def test_numbers_and_words_of_ros2_bag_are_both_read(text):
    [found] = profiles_from_yaml(text)
    assert (*kinds(found), found.depth) == (RELIABLE, TRANSIENT_LOCAL, 3)


@pytest.mark.parametrize(
    'text', ['', '[', '{}', '7', '- 3', '- {reliability: odd, durability: 99, depth: -1}', '- {reliability: 0}']
)
def test_what_cannot_be_understood_is_the_default(text):
    assert all(kinds(found) == (RELIABLE, VOLATILE) and found.depth > 0 for found in profiles_from_yaml(text))
