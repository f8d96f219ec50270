# SPDX-License-Identifier: Apache-2.0
"""Pairing by stamp: early, late, never, wrong clocks, jumps, zero stamps; bounded, in order, explained."""

from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing

MS = 1_000_000
S = 1000 * MS
START = 1000 * S


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


def pairing(clock, depth=10, tolerance_s=0.02, wait_s=0.1, names=('depth',), **options):
    return StampPairing('boxes', {name: Secondary(tolerance_s, wait_s, depth) for name in names}, now=clock, **options)


def run(made, clock, seconds, offset_ns=0, depth=True, rate=10, start=START):
    """Boxes (and depth) at a rate; returns all that is released."""
    out = []
    for _ in range(int(seconds * rate)):
        clock.s += 1 / rate
        stamp = start + round(clock.s * S)
        if depth:
            out += made.put('depth', stamp + offset_ns, 'd')
        out += made.put('boxes', stamp, 'b')
    return out


def test_the_secondary_first(clock):
    made = pairing(clock)
    assert made.put('depth', START, 'd') == []
    assert made.put('boxes', START + 20 * MS, 'b') == [Paired(START + 20 * MS, 'b', {'depth': 'd'}, ())]


def test_the_secondary_second(clock):
    made = pairing(clock)
    assert made.put('boxes', START, 'b') == []
    assert made.put('depth', START + 20 * MS, 'd') == [Paired(START, 'b', {'depth': 'd'}, ())]


def test_the_nearest_one_within_tolerance_is_taken(clock):
    made = pairing(clock, tolerance_s=0.05)
    for offset in (-40, 10, 30, -60):
        made.put('depth', START + offset * MS, offset)
    assert made.put('boxes', START, 'b')[0].matches == {'depth': 10}


def measured(clock, **options):
    """With the tolerance that follows the stream's period."""
    return pairing(clock, tolerance_s=None, **options)


@pytest.mark.parametrize('rate, expected_s', [(5, 0.1), (10, 0.055), (15, 0.0367), (30, 0.0183), (90, 0.0061)])
def test_a_measured_tolerance_is_half_of_the_stream_s_period(clock, rate, expected_s):
    made = measured(clock)
    assert made.tolerance_s('depth') == pytest.approx(0.0335), 'that of a common slow camera, before it is known'
    run(made, clock, 2, rate=rate)
    assert made.tolerance_s('depth') == pytest.approx(expected_s, rel=0.01)


def test_a_very_slow_stream_is_not_waited_for_by_its_period(clock):
    made = measured(clock)
    run(made, clock, 10, rate=1)
    assert made.tolerance_s('depth') == pytest.approx(0.1)


def test_the_period_is_that_of_most_gaps(clock):
    """Lost frames, a pause and stamps that fall back are no period."""
    made = measured(clock)
    run(made, clock, 2, rate=30)
    made.put('depth', START + 60 * S, 'after a pause')
    made.put('depth', START, 'from the beginning')
    for frame in (1, 2, 4, 5, 7, 8, 9):
        made.put('depth', START + frame * 33 * MS, frame)
    assert made.tolerance_s('depth') == pytest.approx(0.0183, rel=0.02)


@pytest.mark.parametrize('offset_ms', [0, 5, 16, 17, 25, 32])
def test_streams_that_run_by_themselves_meet_with_a_measured_tolerance(clock, offset_ms):
    """At 30 Hz both, however they lie: after the first period each primary has its nearest."""
    made, out = measured(clock), []
    for frame in range(20):
        stamp = START + frame * 100 * MS // 3
        clock.s = frame / 30
        out += made.put('boxes', stamp, frame)
        out += made.put('depth', stamp + offset_ms * MS, stamp + offset_ms * MS)
    assert [pair.item for pair in out] == list(range(len(out)))
    assert len(out) >= 18
    for pair in out[2:]:
        assert pair.missing == ()
        assert abs(pair.matches['depth'] - pair.stamp_ns) <= 18.4 * MS


def test_a_nearer_one_that_is_due_is_waited_for(clock):
    made = measured(clock, wait_s=0.15)
    for frame in range(3):
        made.put('depth', START + frame * 100 * MS, frame)
    # 54 ms after the last one: within the tolerance, but the next is due in 46 ms
    assert made.put('boxes', START + 254 * MS, 'b') == []
    assert made.put('depth', START + 300 * MS, 'next')[0].matches == {'depth': 'next'}
    # 30 ms after the last one: the next cannot be nearer
    assert made.put('boxes', START + 330 * MS, 'b')[0].matches == {'depth': 'next'}


def test_a_nearer_one_that_does_not_come_is_not_waited_for_longer_than_others(clock):
    made = measured(clock, wait_s=0.15)
    for frame in range(3):
        made.put('depth', START + frame * 100 * MS, frame)
    assert made.put('boxes', START + 254 * MS, 'b') == []
    clock.s += 0.15
    assert made.expire()[0].matches == {'depth': 2}


def test_while_another_stream_is_awaited_a_nearer_item_takes_the_place(clock):
    made = pairing(clock, tolerance_s=0.05, names=('depth', 'colour'))
    made.put('boxes', START, 'b')
    for offset in (-30, 5, 40):
        made.put('depth', START + offset * MS, offset)
    assert made.put('colour', START, 'c')[0].matches == {'depth': 5, 'colour': 'c'}


def test_what_was_found_stays_while_its_stream_moves_on(clock):
    made = pairing(clock, depth=2, names=('depth', 'colour'))
    made.put('boxes', START, 'b')
    for frame in range(10):
        made.put('depth', START + 33 * frame * MS, frame)
    assert made.put('colour', START, 'c')[0].matches == {'depth': 0, 'colour': 'c'}


def test_one_that_has_passed_is_not_waited_for(clock):
    made = pairing(clock)
    made.put('boxes', START, 'b')
    assert made.put('depth', START + 21 * MS, 'd') == [Paired(START, 'b', {'depth': None}, ('depth',))]
    assert made.counts['missing.depth'] == 1


def test_a_reordered_one_is_found(clock):
    made = pairing(clock)
    made.put('depth', START + 33 * MS, 'second')
    made.put('depth', START, 'first')
    assert made.put('boxes', START, 'b')[0].matches == {'depth': 'first'}
    assert made.put('boxes', START + 33 * MS, 'b')[0].matches == {'depth': 'second'}


def test_never_means_after_the_wait(clock):
    made = pairing(clock, wait_s=0.1)
    made.put('boxes', START, 'b')
    clock.s = 0.09
    assert made.expire() == []
    clock.s = 0.1
    assert made.expire() == [Paired(START, 'b', {'depth': None}, ('depth',))]
    assert made.put('depth', START, 'too late') == []


def test_each_stream_has_its_own_wait(clock):
    made = StampPairing('boxes', {'slow': Secondary(0.02, 0.5, 5), 'quick': Secondary(0.02, 0.1, 5)}, now=clock)
    made.put('boxes', START, 'b')
    clock.s = 0.2
    assert made.expire() == []
    assert made.put('slow', START, 's') == [Paired(START, 'b', {'slow': 's', 'quick': None}, ('quick',))]


def test_primaries_keep_their_order(clock):
    made = pairing(clock)
    made.put('boxes', START, 'first')
    made.put('boxes', START + 33 * MS, 'second')
    assert [one.item for one in made.put('depth', START + 33 * MS, 'd')] == ['first', 'second']


def test_without_secondaries_everything_goes_at_once(clock):
    assert StampPairing('boxes', {}, now=clock).put('boxes', START, 'b') == [Paired(START, 'b', {}, ())]


def test_a_jump_of_a_secondary_clears_it(clock):
    made = pairing(clock, depth=3)
    made.put('depth', START + 5 * S, 'before the loop')
    made.put('depth', START, 'after')
    assert made.counts['jump.depth'] == 1
    assert made.put('boxes', START, 'b')[0].matches == {'depth': 'after'}
    made.put('boxes', START + 5 * S, 'b')
    clock.s += 1
    assert made.expire()[0].missing == ('depth',)


def test_a_jump_of_the_primary_drops_what_waits(clock):
    made = pairing(clock)
    made.put('boxes', START + 5 * S, 'before the loop')
    assert made.put('boxes', START, 'after') == []
    assert made.counts['jump.boxes'] == made.counts['forgotten'] == 1
    assert [one.item for one in made.put('depth', START, 'd')] == ['after']


def test_after_a_jump_of_everything_pairing_goes_on(clock):
    made = pairing(clock)
    run(made, clock, 3)
    released = run(made, clock, 1, start=START - 100 * S)
    assert made.counts['jump.boxes'] == made.counts['jump.depth'] == 1
    assert [one.missing for one in released] == [()] * 10


def test_after_a_jump_the_primary_waits_for_what_has_yet_to_jump(clock):
    """The first frame of a new round is not released because depth of the round before was later."""
    made = pairing(clock)
    run(made, clock, 1)
    clock.s += 0.001
    assert made.put('boxes', START - 100 * S, 'first') == []
    assert made.explain() is None
    [released] = made.put('depth', START - 100 * S, 'd')
    assert (released.item, released.matches) == ('first', {'depth': 'd'})
    assert made.counts['jump.depth'] == 1


def test_a_zero_stamp_matches_nothing(clock):
    made = pairing(clock)
    made.put('depth', 0, 'd')
    assert made.put('boxes', 0, 'b') == [Paired(0, 'b', {'depth': None}, ('depth',))]
    assert made.counts['zero_stamp.depth'] == made.counts['zero_stamp.boxes'] == 1


def test_clear_forgets(clock):
    made = pairing(clock)
    made.put('boxes', START + S, 'b')
    made.clear()
    assert made.put('depth', START + S, 'd') == []
    made.clear()
    assert made.put('boxes', START + S, 'b') == []


class Item:
    """Something that a weak reference can watch."""


def test_memory_is_bounded(clock):
    made, watched = pairing(clock, depth=3), []
    for frame in range(50):
        item = Item()
        watched.append(weakref.ref(item))
        made.put('depth', START + 100 * frame * MS, item)
    del item
    assert sum(one() is not None for one in watched) == 3

    released = [made.put('boxes', START + (frame + 60) * 100 * MS, frame) for frame in range(10)]
    assert [one.item for batch in released for one in batch] == list(range(7))
    assert made.counts['overflow'] == 7


def test_what_no_primary_can_use_any_more_is_let_go(clock):
    made, item = pairing(clock), Item()
    watched = weakref.ref(item)
    made.put('depth', START, item)
    del item
    made.put('boxes', START, 'b')
    assert watched() is not None
    made.put('depth', START + 33 * MS, 'd')
    made.put('boxes', START + 33 * MS, 'b')
    assert watched() is None


def test_all_is_well_means_no_explanation(clock):
    made = pairing(clock)
    run(made, clock, 5)
    assert made.explain() is None


def test_a_short_gap_is_not_worth_a_word(clock):
    made = pairing(clock)
    run(made, clock, 5)
    run(made, clock, 1.5, depth=False)
    assert made.explain() is None


def test_the_watchdog_names_a_silent_topic(clock):
    made = pairing(clock, topics={'depth': '/camera/depth/image'})
    run(made, clock, 3, depth=False)
    text = made.explain()
    assert '/camera/depth/image: nothing received' in text
    assert 'boxes: 10.0 Hz, last stamp 1003.000' in text


def test_the_watchdog_names_one_that_fell_silent(clock):
    made = pairing(clock)
    run(made, clock, 1)
    run(made, clock, 3, depth=False)
    assert 'depth: silent for 3.0 s, last stamp 1001.000, nearest is' in made.explain()


@pytest.mark.parametrize('offset_s', [-0.21, 0.21])
def test_the_watchdog_names_a_wrong_clock(clock, offset_s):
    made = pairing(clock)
    run(made, clock, 3, offset_ns=round(offset_s * S), rate=1)
    assert 'depth: 1.0 Hz, last stamp' in made.explain()
    assert f'{1003 + offset_s:.3f}, nearest is 0.210 s away, tolerance 0.020 s' in made.explain()


def test_the_watchdog_names_zero_stamps(clock):
    made = pairing(clock)
    for _ in range(30):
        clock.s += 0.1
        made.put('depth', 0, 'd')
        made.put('boxes', START + round(clock.s * S), 'b')
    assert 'depth: 10.0 Hz, last stamp 0.000; stamps are 0' in made.explain()


def test_only_the_topic_at_fault_is_named(clock):
    made = pairing(clock, names=('depth', 'colour'))
    run(made, clock, 3)
    assert 'colour: nothing received' in made.explain()
    assert 'depth' not in made.explain()


def test_a_match_ends_the_complaint(clock):
    made = pairing(clock)
    run(made, clock, 3, depth=False)
    assert made.explain()
    run(made, clock, 0.2)
    assert made.explain() is None


def test_without_primaries_there_is_nothing_to_say(clock):
    made = pairing(clock)
    run(made, clock, 3, depth=False)
    clock.s += 5
    assert made.explain() is None


@pytest.mark.parametrize('bad', [{'tolerance_s': -1}, {'wait_s': -1}, {'depth': 0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Secondary(**{'tolerance_s': 0.1, 'wait_s': 0.1, 'depth': 1, **bad})


def test_a_stream_has_one_role(clock):
    with pytest.raises(ValueError, match='both the primary and a secondary'):
        pairing(clock, names=('boxes',))


@given(
    st.lists(
        st.tuples(st.sampled_from(['boxes', 'depth', 'colour', 'tick']), st.integers(0, 3000)), min_size=1, max_size=60
    )
)
def test_whatever_arrives_each_primary_leaves_once_with_true_matches(events):
    clock = Clock()
    made = pairing(clock, depth=4, names=('depth', 'colour'))
    sent, out = [], []
    for stream, number in events:
        clock.s += 0.03
        stamp = number * MS
        if stream == 'tick':
            out += made.expire()
            continue
        item = (stream, stamp, clock.s)
        sent += [item] if stream == 'boxes' else []
        out += made.put(stream, stamp, item)
    clock.s += 1
    out += made.expire()
    items = [one.item for one in out]
    assert items == [item for item in sent if item in items]
    assert len(items) == len(sent) - made.counts['forgotten']
    for one in out:
        for name, match in one.matches.items():
            assert (match is None) == (name in one.missing)
            assert match is None or (match[0] == name and abs(match[1] - one.stamp_ns) <= 20 * MS)


def test_of_several_items_of_one_stamp_the_newest_is_taken(clock):
    """A clock that is slower than the camera gives several frames the same stamp."""
    made, out = pairing(clock, names=('keypoints', 'masks')), []
    for number in range(3):
        for name in ('keypoints', 'masks'):
            out += made.put(name, START, f'{name} {number}')
        out += made.put('boxes', START, number)
    assert [(pair.item, pair.matches) for pair in out] == [
        (number, {'keypoints': f'keypoints {number}', 'masks': f'masks {number}'}) for number in range(3)
    ]
