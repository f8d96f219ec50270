# SPDX-License-Identifier: Apache-2.0
"""Switches and fragmentations, counted by hand."""

from __future__ import annotations

import pytest
from support.frame_records import boxes

from isaac_inference.evaluation.accuracy.tracking_errors import tracking_scores

LEFT, RIGHT = (0, 0, 100, 100), (300, 0, 400, 100)
TRUTH = boxes(('cup', 1, LEFT, 'a'))


def seen(*ids, truth=TRUTH, place=LEFT):
    """Frames in which the cup has these ids; None where nothing is found."""
    return [(truth, boxes(*([] if own is None else [('cup', 0.9, place, own)]))) for own in ids]


@pytest.mark.parametrize(
    ('ids', 'switches', 'fragments', 'count'),
    [
        ('111', 0, 0, 1),
        ('112', 1, 0, 2),
        ('121', 2, 0, 2),
        (['1', None, '1'], 0, 1, 1),
        (['1', None, None, '2'], 1, 1, 2),
        ([None, '1', '1', None], 0, 0, 1),
    ],
)
def test_switches_and_fragmentations(ids, switches, fragments, count):
    scores = tracking_scores(seen(*ids))
    assert (scores.id_switches, scores.fragmentations, scores.objects, scores.ids) == (switches, fragments, 1, count)


def test_two_objects_that_swap_ids_are_two_switches():
    truth = boxes(('cup', 1, LEFT, 'a'), ('cup', 1, RIGHT, 'b'))
    first = boxes(('cup', 0.9, LEFT, '1'), ('cup', 0.9, RIGHT, '2'))
    second = boxes(('cup', 0.9, LEFT, '2'), ('cup', 0.9, RIGHT, '1'))
    assert tracking_scores([(truth, first), (truth, second)]).id_switches == 2


def test_a_pair_stays_together_where_another_overlaps_better():
    duplicates = boxes(('cup', 0.9, (0, 0, 100, 80), '1'), ('cup', 0.9, LEFT, '2'))
    assert tracking_scores([*seen('1'), (TRUTH, duplicates)]).id_switches == 0
    assert tracking_scores([(TRUTH, duplicates), *seen('1')]).id_switches == 1, 'without a past the better one counts'


def test_too_little_overlap_or_another_class_is_no_match():
    assert tracking_scores(seen('1', '2', place=(60, 0, 160, 100))).objects == 0
    other = [(TRUTH, boxes(('can', 0.9, LEFT, own))) for own in '12']
    assert tracking_scores(other).id_switches == 0


def test_nothing_is_counted_while_the_object_is_hidden():
    hidden = boxes(('cup', 0.1, LEFT, 'a'))
    assert tracking_scores([*seen('1'), *seen(None, truth=hidden), *seen('1')]).fragmentations == 0
    assert tracking_scores([*seen('1'), *seen('2', truth=hidden), *seen('1')]).id_switches == 0
    assert tracking_scores([*seen('1'), *seen(None, truth=hidden), *seen('2')]).id_switches == 1


def test_estimates_without_ids_give_no_figure():
    scores = tracking_scores(seen('', ''))
    assert (scores.id_switches, scores.fragmentations) == (None, None)
    assert tracking_scores([]).id_switches is None
