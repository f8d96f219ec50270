# SPDX-License-Identifier: Apache-2.0
"""A frame's parts add up to the whole, whatever the order and the overlap of its stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isaac_inference.serving.budgets.frame_times import Span, frame_times

MS = 1_000_000


def span(stage, arrived, started, finished):
    return Span(stage, arrived * MS, started * MS, finished * MS)


CHAIN = [span('detection', 40, 41, 43), span('preprocess', 10, 11, 15), span('inference', 16, 20, 38)]


def test_each_part_of_a_chain():
    found = frame_times(0, CHAIN, 4 * MS, use_stamp=True)
    assert found.stages == {'camera': 4, 'transport': 6 + 1 + 2, 'preprocess': 5, 'inference': 22, 'detection': 3}
    assert found.total_ms == 43 == sum(found.stages.values())


def test_without_the_camera_s_own_word_the_first_hand_over_is_the_camera_s():
    found = frame_times(0, CHAIN, None, use_stamp=True)
    assert (found.stages['camera'], found.stages['transport']) == (10, 3)


def test_a_word_of_the_camera_that_comes_after_the_frame():
    found = frame_times(0, CHAIN, 12 * MS, use_stamp=True)
    assert (found.stages['camera'], found.stages['transport']) == (10, 3)


def test_a_stamp_of_another_clock_is_left_out():
    found = frame_times(-(10**18), CHAIN, 4 * MS, use_stamp=False)
    assert found.total_ms == 33 == sum(found.stages.values())
    assert not found.has_camera
    assert 'camera' not in found.stages


def test_a_second_model_s_run_counts_for_the_same_stage():
    behind = [span('crops', 44, 44, 45), span('inference', 46, 46, 56), span('keypoints', 57, 57, 59)]
    found = frame_times(0, CHAIN + behind, None, use_stamp=True)
    assert found.stages['inference'] == 22 + 10
    assert found.stages['preprocess'] == 5 + 1
    assert found.stages['detection'] == 3 + 2
    assert found.total_ms == 59


def test_stages_side_by_side_count_once():
    found = frame_times(
        0, [span('pose', 0, 0, 10), span('track', 2, 2, 8), span('track', 9, 9, 12)], None, use_stamp=True
    )
    assert found.stages == {'camera': 0, 'transport': 0, 'pose': 10, 'track': 2}


times = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.sampled_from('abc'), times, times, times), min_size=1), times, st.none() | times)
def test_the_parts_always_add_up(rows, stamp, sent):
    spans = [Span(name, *sorted(numbers)) for name, *numbers in rows]
    for use_stamp in (True, False):
        found = frame_times(stamp, spans, sent, use_stamp=use_stamp)
        is_possible = not use_stamp or stamp <= min(one.arrived_ns for one in spans)
        if is_possible:
            assert sum(found.stages.values()) == pytest.approx(found.total_ms)
            assert min(found.stages.values()) >= 0
