# SPDX-License-Identifier: Apache-2.0
"""True boxes from text files."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder


def test_parts_of_the_picture_become_pixels(tmp_path):
    (tmp_path / 'a.txt').write_text('1 0.5 0.5 0.5 0.2\n\n0 0.1 0.1 0.2 0.2\n')
    found = LabelFolder(tmp_path, ('cup', 'bowl')).boxes('a.jpg', 200, 100)
    assert found.classes == ('bowl', 'cup')
    assert found.boxes.tolist() == [pytest.approx([50, 40, 150, 60]), pytest.approx([0, 0, 40, 20])]
    assert found.scores.tolist() == [1.0, 1.0]


def test_an_empty_file_says_that_there_is_nothing_and_no_file_says_nothing(tmp_path):
    (tmp_path / 'empty.txt').write_text('')
    labels = LabelFolder(tmp_path, ('cup',))
    assert len(labels.boxes('empty.png', 10, 10)) == 0 and labels.boxes('other.png', 10, 10) is None


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ('0 0.5 0.5 0.1', 'five finite numbers'),
        ('cup 0.5 0.5 0.1 0.1', 'all numbers'),
        ('1 0.5 0.5 0.1 0.1', 'from 0 to 0'),
        ('0 120 80 40 40', 'not in pixels'),
        ('0 0.5 0.5 -0.1 0.1', 'from 0 to 1'),
        ('0 nan 0.5 0.1 0.1', 'five finite numbers'),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, reason):
    (tmp_path / 'a.txt').write_text(f'0 0.5 0.5 0.1 0.1\n{line}\n')
    with pytest.raises(ConfigError, match=rf'a\.txt, line 2: .*{reason}'):
        LabelFolder(tmp_path, ('cup',)).boxes('a.jpg', 10, 10)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'no \.txt file'):
        LabelFolder(tmp_path, ('cup',))
    with pytest.raises(ConfigError, match='no such folder'):
        LabelFolder(tmp_path / 'nowhere', ('cup',))
