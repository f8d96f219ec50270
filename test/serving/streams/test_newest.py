# SPDX-License-Identifier: Apache-2.0
"""The newest item of each stream, and turns that no stream's rate can change."""

from __future__ import annotations

import random

import pytest

from isaac_inference.serving.streams.newest import Arrival, NewestOfEach


def put(places, stream, item, now_ns):
    return places.put(Arrival(stream, item, now_ns + 10**18), now_ns)


def taken(places, most):
    return [(arrival.stream, arrival.item) for arrival in places.take(most)]


def test_the_newest_of_each_wins_and_what_it_displaces_is_told():
    places = NewestOfEach()
    assert [put(places, 'front', 1, 1), put(places, 'left', 2, 2), put(places, 'front', 3, 3)] == [False, False, True]
    assert (len(places), places.since_ns) == (2, 1)
    assert taken(places, 8) == [('front', 3), ('left', 2)]
    assert (len(places), places.since_ns) == (0, None)


def test_who_waits_longest_is_first_although_its_item_is_the_newest():
    places = NewestOfEach()
    put(places, 'slow', 'a', 1)
    put(places, 'fast', 'b', 0)
    for now in range(2, 50):
        put(places, 'slow', now, now)
    assert taken(places, 1) == [('slow', 49)]
    put(places, 'slow', 50, 50)
    assert places.since_ns == 0
    assert taken(places, 2) == [('fast', 'b'), ('slow', 50)]


def test_no_more_than_asked_and_none_for_none():
    places = NewestOfEach()
    for now, stream in enumerate('abcd'):
        put(places, stream, stream, now)
    assert taken(places, 0) == [] and taken(places, -1) == []
    assert taken(places, 3) == [('a', 'a'), ('b', 'b'), ('c', 'c')]
    assert places.since_ns == 3


def test_what_is_forgotten_is_no_one_s_turn():
    places = NewestOfEach()
    put(places, 'a', 1, 1)
    put(places, 'b', 2, 2)
    places.forget('a')
    places.forget('nobody')
    assert places.since_ns == 2 and taken(places, 5) == [('b', 2)]


@pytest.mark.parametrize('most', [1, 2, 3])
@pytest.mark.parametrize('seed', range(5))
def test_with_any_rates_no_stream_waits_for_more_than_one_turn_of_each_other(seed, most):
    """Streams of very different rates, more than the engine takes: of n streams that wait each is taken within n."""
    source = random.Random(seed)
    rates = {f's{index}': source.choice([1, 3, 10, 60, 200]) for index in range(8)}
    places, waiting = NewestOfEach(), {}
    for step in range(4000):
        for stream, rate in rates.items():
            if source.random() < rate / 60:
                put(places, stream, step, step)
                waiting.setdefault(stream, 0)
        if step % 4:
            continue
        found = [stream for stream, _ in taken(places, most)]
        for stream in found:
            del waiting[stream]
        for stream in waiting:
            waiting[stream] += 1
            assert waiting[stream] * most < len(rates), f'{stream} was passed over {waiting[stream]} times'
