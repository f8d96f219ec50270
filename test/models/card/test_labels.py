# SPDX-License-Identifier: Apache-2.0
"""Class names from lists, mappings, files and the shipped lists."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models.card.labels import SHIPPED, labels_from


def test_the_shipped_lists():
    assert [len(SHIPPED[name]) for name in ('coco80', 'coco91')] == [80, 91]
    assert SHIPPED['coco91'][0] == 'unused_0' and SHIPPED['coco91'][13] == 'stop sign'
    for names in SHIPPED.values():
        assert len(set(names)) == len(names)
    assert labels_from('coco80', 'card', None) == SHIPPED['coco80']


def test_a_list_a_mapping_and_a_file(tmp_path):
    (tmp_path / 'names.txt').write_text('cup\n hot dog \nbox\n\n')
    assert labels_from(['cup', 'box'], 'card', None) == ('cup', 'box')
    assert labels_from({1: 'box', 0: 'cup'}, 'card', None) == ('cup', 'box')
    assert labels_from('names.txt', 'card', tmp_path) == ('cup', 'hot dog', 'box')
    assert labels_from(str(tmp_path / 'names.txt'), 'card', tmp_path / 'elsewhere')[0] == 'cup'


@pytest.mark.parametrize(
    'value, says',
    [
        ([], 'the list is empty'),
        (['cup', ''], 'class 1 has an empty name'),
        (['cup', '  '], 'class 1 has an empty name'),
        (['cup', 3], 'class 1 is 3, which YAML reads as int; put the name in quotes'),
        (['cup', 'box', 'cup'], "'cup' names class 0 and class 2"),
        ({0: 'cup', 2: 'box'}, r'class numbers are \[0, 2\].*expected 0 to 1 without gaps'),
        ('missing.txt', r'missing\.txt cannot be read as text'),
        (None, 'got None, expected a list of names'),
    ],
)
def test_labels_that_are_refused(tmp_path, value, says):
    with pytest.raises(ModelError, match=says):
        labels_from(value, 'card', tmp_path)


def test_a_file_with_a_hole(tmp_path):
    (tmp_path / 'names.txt').write_text('cup\n\nbox\n')
    with pytest.raises(ModelError, match='names.txt: labels: class 1 has an empty name'):
        labels_from('names.txt', 'card', tmp_path)
