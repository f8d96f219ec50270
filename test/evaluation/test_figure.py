# SPDX-License-Identifier: Apache-2.0
"""Pictures: panels, file, and what is said without matplotlib."""

from __future__ import annotations

import sys

import cv2
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.figure import new_figure, save_figure


def test_a_picture_of_the_size_that_was_asked_for_in_a_new_folder(tmp_path):
    pytest.importorskip('matplotlib')
    from matplotlib import pyplot

    figure, axes = new_figure(1, 2, (4, 3), 'a title')
    assert axes.shape == (2,)
    assert figure.get_suptitle() == 'a title'
    path = save_figure(figure, tmp_path / 'new' / 'picture.png', dpi=50)
    assert cv2.imread(str(path)).shape == (150, 200, 3)
    assert not pyplot.fignum_exists(figure.number)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ConfigError, match='pip install matplotlib'):
        new_figure(1, 1, (4, 3))
