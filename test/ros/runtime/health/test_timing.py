# SPDX-License-Identifier: Apache-2.0
"""Stage timings: times, totals, and the way through a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.health.timing import StageTiming, total_ms

EARLY = 1_700_000_000_000_000_000
FIRST = StageTiming('preprocess', EARLY, EARLY + 500_000, EARLY + 3_000_000)
SECOND = StageTiming('inference', EARLY + 3_000_000, EARLY + 3_250_000, EARLY + 9_000_000)


def test_waiting_and_working_are_told_apart():
    assert (FIRST.wait_ms, FIRST.work_ms) == (0.5, 2.5)


@pytest.mark.parametrize(('timings', 'expected'), [((), 0.0), ((FIRST,), 3.0), ((FIRST, SECOND), 9.0)])
def test_the_total_is_from_the_first_mailbox_to_the_last_publisher(timings, expected):
    assert total_ms(timings) == expected


def test_an_array_keeps_every_nanosecond():
    odd = StageTiming('x', EARLY + 1, EARLY + 2, EARLY + 3)
    assert odd.to_array().tolist() == [EARLY + 1, EARLY + 2, EARLY + 3]
    assert StageTiming.from_array('x', odd.to_array()) == odd


@pytest.mark.parametrize('array', [np.zeros(2, np.int64), np.zeros((3, 1), np.int64), np.zeros(3, np.float64)])
def test_another_array_is_no_timing(array):
    with pytest.raises(FrameError, match=r'timing of stage x: got .*expected int64 \[3\]') as caught:
        StageTiming.from_array('x', array)
    assert caught.value.reason == 'bad_tensor'
