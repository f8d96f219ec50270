# SPDX-License-Identifier: Apache-2.0
"""Transforms at a stamp: one table of cases for both sources (tf2_ros by a stand-in, where it is not installed)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.ros.tf2_ros_stand_in import tf2_ros
from support.ros.transform_bench import START, Bench, FakeNode, S, near, pose, turn

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ros.runtime.health import health
from isaac_inference.ros.runtime.transforms import frame_tree, make_transform_source


@pytest.fixture(params=['pytransform3d', 'tf2_ros'])
def make(request, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros())
    return lambda **options: Bench(request.param, **options)


@pytest.fixture
def bench(make):
    return make()


@pytest.fixture
def unthrottled(monkeypatch):
    """What is said, is heard, however soon after the last line."""
    monkeypatch.setattr(health, 'LOG_PERIOD_S', 0.0)


# What is found


@pytest.mark.parametrize('stamp_ns', [0, 1, START, 10**18])
def test_static_chains_hold_for_all_times(bench, stamp_ns):
    bench.put('world', 'base', shift=(1, 2, 3), rotation=turn(90), static=True)
    bench.put('base', 'camera', shift=(1, 0, 0), rotation=turn(30, 'x'), static=True)
    expected = pose((1, 2, 3), 90) @ pose((1, 0, 0), 30, 'x')
    found = bench.source.lookup('world', 'camera', stamp_ns)
    assert found == near(expected)
    assert (found.shape, found.dtype) == ((4, 4), np.float64)
    assert bench.source.lookup('camera', 'world', stamp_ns) == near(np.linalg.inv(expected))


@pytest.mark.parametrize('part', [0.0, 0.25, 0.5, 1.0])
def test_between_samples_it_is_interpolated(bench, part):
    bench.put('world', 'base', START, (0, 0, 0), turn(10))
    bench.put('world', 'base', START + S, (4, 2, 0), turn(90))
    stamp = START + round(part * S)
    expected = pose((4 * part, 2 * part, 0), 10 + 80 * part)
    assert bench.source.lookup('world', 'base', stamp) == near(expected)
    assert bench.source.lookup('base', 'world', stamp) == near(np.linalg.inv(expected))


def test_rotation_takes_the_shorter_way(bench):
    bench.put('world', 'base', START, rotation=turn(170))
    bench.put('world', 'base', START + S, rotation=tuple(-value for value in turn(-170)))
    assert bench.source.lookup('world', 'base', START + S // 2) == near(pose(degrees=180))


def test_a_common_ancestor_joins_two_branches(bench):
    bench.put('world', 'base', shift=(9, 9, 9), static=True)
    bench.put('base', 'arm', shift=(1, 0, 0), rotation=turn(90), static=True)
    for second in (0, 1):
        bench.put('base', 'head', START + second * S, (0, second, 2), turn(90 * second, 'y'))
    bench.put('head', 'camera', shift=(0, 0, 1), rotation=turn(45, 'x'), static=True)
    T_base_camera = pose((0, 0.5, 2), 45, 'y') @ pose((0, 0, 1), 45, 'x')
    expected = np.linalg.inv(pose((1, 0, 0), 90)) @ T_base_camera
    assert bench.source.lookup('arm', 'camera', START + S // 2) == near(expected)


def test_a_frame_to_itself_needs_nobody(bench):
    assert bench.source.lookup('camera', '/camera', 0) == near(np.eye(4))


def test_what_is_returned_belongs_to_the_caller(bench):
    bench.put('world', 'base', shift=(1, 0, 0), static=True)
    bench.source.lookup('world', 'base', START)[:] = 0
    assert bench.source.lookup('world', 'base', START) == near(pose((1, 0, 0)))


def test_leading_slashes_are_no_part_of_a_name(bench):
    bench.put('/world', '/base', shift=(1, 0, 0), static=True)
    bench.put('base', 'camera', shift=(1, 0, 0))
    assert bench.source.lookup('/world', 'camera', START) == near(pose((2, 0, 0)))


def test_samples_may_arrive_out_of_order(bench):
    for tenth in (0, 9, 3, 6):
        bench.put('world', 'base', START + tenth * S // 10, (tenth, 0, 0))
    for tenth in range(10):
        assert bench.source.lookup('world', 'base', START + tenth * S // 10)[0, 3] == pytest.approx(tenth)


# What is not


def test_the_newest_sample_is_not_stretched(bench):
    bench.put('world', 'base', START)
    error = bench.refusal('world', 'base', START + 50_000_000)
    assert (error.reason, error.may_come) == ('tf_future', True)
    assert isinstance(error, FrameError)
    for part in ("'base'", "'world'", '1000.050', '0.050 s newer', 'from 1000.000 s to 1000.000 s', 'wait longer'):
        assert part in str(error)


def test_the_slowest_link_decides(bench):
    for second in (0, 1, 2):
        bench.put('base', 'camera', START + second * S)
    bench.put('world', 'base', START + S)
    assert bench.reason('world', 'camera', START + 2 * S) == 'tf_future'
    assert bench.reason('world', 'camera', START) == 'tf_past'
    assert bench.source.lookup('world', 'camera', START + S) == near(np.eye(4))


def test_the_buffer_has_an_end(make):
    bench = make(buffer_s=2.0)
    for second in range(6):
        bench.put('world', 'base', START + second * S)
    error = bench.refusal('world', 'base', START + 2 * S)
    assert (error.reason, error.may_come) == ('tf_past', False)
    assert '1.000 s older than the oldest sample' in str(error)
    assert 'from 1003.000 s to 1005.000 s' in str(error)
    assert bench.source.lookup('world', 'base', START + 3 * S) == near(np.eye(4))


def test_a_zero_stamp_is_not_the_newest(bench):
    bench.put('world', 'base', START)
    error = bench.refusal('world', 'base', 0)
    assert (error.reason, error.may_come) == ('tf_past', False)
    assert 'not filled in' in str(error)


def test_an_unknown_frame_is_named_with_those_that_are_known(bench):
    assert 'no frame at all' in str(bench.refusal('world', 'camera'))
    bench.put('world', 'base', static=True)
    error = bench.refusal('world', 'camera')
    assert (error.reason, error.may_come) == ('tf_unknown_frame', True)
    assert "'camera' was never received (known: base, world)" in str(error)
    assert "'robot'" in str(bench.refusal('robot', 'base'))


@pytest.mark.parametrize('names', [('world', ''), ('', 'world'), ('', ''), ('/', 'world')])
def test_a_frame_without_a_name_is_not_waited_for(bench, names):
    bench.put('world', 'base', static=True)
    error = bench.refusal(*names)
    assert (error.reason, error.may_come) == ('tf_unknown_frame', False)


def test_two_trees_are_not_joined(bench):
    bench.put('world', 'base', static=True)
    bench.put('lab', 'camera', static=True)
    error = bench.refusal('base', 'camera')
    assert (error.reason, error.may_come) == ('tf_not_connected', True)
    assert "'camera' is in the tree of 'lab', 'base' in that of 'world'" in str(error)


@pytest.mark.parametrize('static', [True, False])
def test_a_loop_is_named_not_walked(bench, static):
    for parent, child in (('a', 'b'), ('b', 'c'), ('c', 'a'), ('a', 'leaf'), ('world', 'base')):
        bench.put(parent, child, static=static)
    for target, source in (('a', 'leaf'), ('leaf', 'a'), ('world', 'leaf'), ('base', 'c'), ('b', 'c')):
        error = bench.refusal(target, source)
        assert (error.reason, error.may_come) == ('tf_loop', False)
        assert 'the frames form a cycle' in str(error)
        assert "'b' in 'a'" in str(error)
    assert bench.source.lookup('world', 'base', START) == near(np.eye(4))


BAD = {
    'nan': {'shift': (float('nan'), 0, 0)},
    'infinite': {'shift': (0, float('inf'), 0)},
    'nan turn': {'rotation': (0, 0, float('nan'), 1)},
    'zero quaternion': {'rotation': (0, 0, 0, 0)},
    'long quaternion': {'rotation': (0, 0, 1, 1)},
}


@pytest.mark.parametrize('bad', BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize('static', [True, False])
def test_what_is_no_transform_is_refused_and_named(bench, bad, static):
    bench.put('world', 'base', static=static, **bad)
    for target, source in (('world', 'base'), ('base', 'world')):
        error = bench.refusal(target, source)
        assert (error.reason, error.may_come) == ('tf_invalid', False)
    assert bench.counts['tf_invalid'] == 1
    assert 'is not a transform: correct its publisher' in bench.node.lines[0]
    bench.put('world', 'base', static=static)
    assert bench.source.lookup('world', 'base', START) == near(np.eye(4))


@pytest.mark.parametrize('names', [('', 'base'), ('world', ''), ('base', 'base'), ('/base', 'base')])
def test_a_link_needs_two_names(bench, names):
    bench.put(*names)
    assert sum(bench.counts.values()) == 1
    assert len(bench.node.lines) == 1
    assert bench.reason('world', 'base') in ('tf_invalid', 'tf_unknown_frame')


def test_a_bad_sample_among_good_ones_is_left_out(bench):
    bench.put('world', 'base', START, (0, 0, 0))
    bench.put('world', 'base', START + S, rotation=(0, 0, 0, 0))
    assert bench.reason('world', 'base', START + S) == 'tf_invalid'
    bench.put('world', 'base', START + 2 * S, (2, 0, 0))
    assert bench.source.lookup('world', 'base', START + S) == near(pose((1, 0, 0)))


# Changes


def test_stamps_that_fall_back_start_anew(bench):
    bench.put('lab', 'world', static=True)
    for second in range(5):
        bench.put('world', 'base', START + second * S, (second, 0, 0))
        bench.put('base', 'camera', START + second * S)
    bench.put('world', 'base', START, (7, 0, 0))
    assert bench.counts['tf_time_jump'] == 1
    assert 'jumped back from 1004.000 s to 1000.000 s' in bench.node.lines[0]
    assert bench.reason('base', 'camera', START + S) == 'tf_unknown_frame'
    assert bench.reason('world', 'base', START + S) == 'tf_future'
    assert bench.source.lookup('lab', 'base', START) == near(pose((7, 0, 0)))
    bench.put('base', 'camera', START)
    assert bench.counts['tf_time_jump'] == 1
    assert bench.source.lookup('lab', 'camera', START) == near(pose((7, 0, 0)))


def test_a_late_sample_of_another_child_is_no_jump(bench):
    bench.put('world', 'base', START + 5 * S)
    bench.put('base', 'camera', START)
    assert bench.counts['tf_time_jump'] == 0


def test_the_newest_of_two_parents_wins(bench):
    bench.put('world', 'base', shift=(1, 0, 0), static=True)
    bench.put('world', 'cup', START, (1, 0, 0))
    bench.put('base', 'cup', START + S, (0, 1, 0))
    assert bench.source.lookup('world', 'cup', START + S) == near(pose((1, 1, 0)))
    assert bench.counts['tf_reparented'] == 1
    assert "'cup' was dynamic in 'world' and is now dynamic in 'base'" in bench.node.lines[0]


def test_a_static_transform_can_be_corrected(bench):
    bench.put('world', 'base', shift=(1, 0, 0), static=True)
    assert bench.source.lookup('world', 'base', START) == near(pose((1, 0, 0)))
    bench.put('world', 'base', shift=(2, 0, 0), static=True)
    assert bench.source.lookup('world', 'base', START) == near(pose((2, 0, 0)))
    assert bench.counts == {}


@pytest.mark.parametrize('before', [(), (START - S,)])
def test_a_dynamic_transform_without_a_stamp_is_refused_and_named(unthrottled, bench, before):
    """Nobody knows when it holds; it must neither be used nor make the stamps of others fall back."""
    bench.put('world', 'arm', START)
    for stamp_ns in before:
        bench.put('world', 'base', stamp_ns)
    for _ in range(3):
        bench.put('world', 'base', 0, (1, 0, 0))
    for target, source in (('world', 'base'), ('base', 'world')):
        error = bench.refusal(target, source)
        assert (error.reason, error.may_come) == ('tf_zero_stamp', False)
        assert "'base' in 'world' comes on /tf without a stamp" in str(error)
        assert 'send it on /tf_static if it never changes' in str(error)
    assert bench.counts == {'tf_zero_stamp': 3}
    assert len(bench.node.lines) == 1, 'it is said once'
    assert bench.source.lookup('world', 'arm', START) == near(np.eye(4))
    bench.put('world', 'base', START, (2, 0, 0))
    assert bench.source.lookup('world', 'base', START) == near(pose((2, 0, 0)))


def test_a_static_transform_needs_no_stamp(bench):
    bench.put('world', 'base', 0, (1, 0, 0), static=True)
    assert bench.source.lookup('world', 'base', START) == near(pose((1, 0, 0)))
    assert bench.counts == {}


def test_a_frame_sent_in_two_parents_by_turns_is_used_by_nobody(unthrottled, bench, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(frame_tree.time, 'monotonic', lambda: clock[0])
    bench.put('map', 'odom', static=True)
    bench.put('base', 'camera', shift=(0, 0, 1), static=True)
    for turns in range(20):
        clock[0] += 0.05
        bench.put(('odom', 'map')[turns % 2], 'base', START + turns * S // 20, (turns % 2, 0, 0))
    for target in ('odom', 'map'):
        error = bench.refusal(target, 'camera', START + 19 * S // 20)
        assert (error.reason, error.may_come) == ('tf_two_parents', False)
        for part in ("'base' is sent in", "'odom'", "'map'", 'by turns', 'stop one of them'):
            assert part in str(error)
    assert bench.source.lookup('base', 'camera', START) == near(pose((0, 0, 1))), 'what lies below is sound'
    assert bench.counts['tf_reparented'] == 19
    assert ['by turns' in line for line in bench.node.lines] == [False, True], 'it is said once'
    for step in range(3):  # one of them stops
        clock[0] += 1.0
        bench.put('odom', 'base', START + (2 + step) * S, (5, 0, 0))
    assert bench.source.lookup('map', 'camera', START + 3 * S) == near(pose((5, 0, 1)))


def test_a_frame_that_changes_hands_now_and_then_is_used(bench, monkeypatch):
    """As a cup that is taken up and put down."""
    clock = [0.0]
    monkeypatch.setattr(frame_tree.time, 'monotonic', lambda: clock[0])
    bench.put('world', 'hand', static=True)
    for turns in range(6):
        clock[0] += 1.5
        bench.put(('world', 'hand')[turns % 2], 'cup', START + turns * S, (turns, 0, 0))
        assert bench.source.lookup('world', 'cup', START + turns * S) == near(pose((turns, 0, 0)))


@pytest.mark.parametrize('first', [True, False], ids=['static first', 'dynamic first'])
def test_of_a_static_and_a_dynamic_frame_the_newest_kind_counts(unthrottled, bench, first):
    bench.put('base', 'camera', shift=(0, 0, 1), static=True)
    for static, x in ((first, 1), (not first, 2), (first, 3)):
        bench.put('world', 'base', START, (x, 0, 0), static=static)
        assert bench.source.lookup('world', 'camera', START) == near(pose((x, 0, 1)))
        if static:
            assert bench.source.lookup('world', 'camera', START + 9 * S) == near(pose((x, 0, 1)))
        else:
            assert bench.reason('world', 'camera', START + S) == 'tf_future'
            assert bench.reason('world', 'camera', START - S) == 'tf_past'
    assert bench.counts['tf_reparented'] == 2
    assert len(bench.node.lines) == 1, 'it is said once'


def test_what_was_known_of_a_time_is_forgotten_when_time_goes_back_to_it(bench):
    bench.put('lab', 'world', shift=(1, 0, 0), static=True)
    for second in range(3):
        bench.put('world', 'base', START + second * S, (9, 0, 0))
    bench.source.rewind(START)
    assert bench.reason('lab', 'base', START) == 'tf_unknown_frame'
    assert bench.source.lookup('lab', 'world', START) == near(pose((1, 0, 0)))
    bench.put('world', 'base', START, (2, 0, 0))
    bench.source.rewind(START - S // 2)  # told by one who is late
    assert bench.source.lookup('lab', 'base', START) == near(pose((3, 0, 0)))
    assert bench.counts == {'tf_time_jump': 1}


def test_one_late_message_of_another_topic_forgets_nothing(bench):
    for second in (10, 13):
        bench.put('world', 'base', START + second * S)
    bench.source.rewind(START)
    assert bench.reason('world', 'base', START) == 'tf_past'
    assert bench.source.lookup('world', 'base', START + 12 * S) == near(np.eye(4))


def test_a_jump_is_said_once(unthrottled, bench):
    for _ in range(3):
        for second in (0, 5):
            bench.put('world', 'base', START + second * S)
    assert bench.counts['tf_time_jump'] == 2
    assert len(bench.node.lines) == 1


def test_frames_that_fell_silent_are_forgotten_when_new_ones_come(bench, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(frame_tree.time, 'monotonic', lambda: clock[0])
    bench.put('world', 'base', static=True)
    for number in range(200):
        clock[0] += 1.0
        bench.put('world', f'cup_{number}', START + number * S)
    assert len(bench.source._tree._edges) == 62
    assert bench.reason('world', 'cup_5', START) == 'tf_unknown_frame'


def test_refused_names_do_not_pile_up(bench):
    for number in range(500):
        bench.put('world', f'cup_{number}', rotation=(0, 0, 0, 0))
    assert len(bench.source._tree._refused) <= 64


# Which one


def test_auto_takes_tf2_where_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros())
    assert type(make_transform_source(FakeNode())).__name__ == 'Tf2Source'
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    assert type(make_transform_source(FakeNode())).__name__ == 'PytransformSource'


def test_neither_library_is_an_error_that_says_what_to_install(monkeypatch):
    for name in ('tf2_ros', 'pytransform3d', 'isaac_inference.ros.runtime.transforms.pytransform_source'):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match='install tf2_ros .* or "pip install pytransform3d"'):
        make_transform_source(FakeNode())
    with pytest.raises(ConfigError, match=r'no transform source \(tf2_ros: '):
        make_transform_source(FakeNode(), 'tf2_ros')


@pytest.mark.parametrize('options', [{'prefer': 'tf'}, {'buffer_s': 0.0}, {'buffer_s': float('nan')}])
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match='expected'):
        make_transform_source(FakeNode(), **options)


# Interpolation in general


angles = st.floats(-179, 179)
metres = st.floats(-100, 100)


@given(st.tuples(metres, metres, metres), st.tuples(angles, angles), st.tuples(angles, angles), st.floats(0, 1))
def test_both_agree_on_any_motion(shift, first, second, part):
    benches = [Bench('pytransform3d')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, 'tf2_ros', tf2_ros())
        benches.append(Bench('tf2_ros'))
    for bench in benches:
        bench.put('world', 'base', START, shift, Rotation.from_euler('xz', first, degrees=True).as_quat())
        bench.put('world', 'base', START + S, (0, 0, 0), Rotation.from_euler('xz', second, degrees=True).as_quat())
    found, expected = (bench.source.lookup('base', 'world', START + round(part * S)) for bench in benches)
    straight = Rotation.from_euler('xz', first, degrees=True).inv() * Rotation.from_euler('xz', second, degrees=True)
    if straight.magnitude() < np.pi - 1e-3:  # at half a turn either way round is right
        assert found == pytest.approx(expected, abs=1e-6)


def test_samples_are_bounded_whatever_their_stamps(monkeypatch):
    from isaac_inference.ros.runtime.transforms import sampled_edge

    monkeypatch.setattr(sampled_edge, 'MAX_SAMPLES', 50)
    bench = Bench('pytransform3d')
    for step in range(200):
        bench.put('world', 'base', START + step)
    assert len(bench.source._tree._edges['base']._stamps) == 50
    assert bench.reason('world', 'base', START + 149) == 'tf_past'
    assert bench.source.lookup('world', 'base', START + 150) == near(np.eye(4))


def test_a_second_sample_of_a_stamp_replaces_the_first():
    bench = Bench('pytransform3d')
    for shift in (1, 2):
        bench.put('world', 'base', START, (shift, 0, 0))
    assert bench.source.lookup('world', 'base', START) == near(pose((2, 0, 0)))
