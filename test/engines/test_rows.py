# SPDX-License-Identifier: Apache-2.0
"""A batch whose images lie apart, and the engines that take it."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.engines.checks import FeedCheck
from isaac_inference.engines.rows import Rows, parts_of
from isaac_inference.errors import EngineError
from isaac_inference.models.card.tensor_spec import TensorSpec

SPEC = TensorSpec('images', 'float32', (None, 3))


def one(count=1, columns=3, dtype=np.float32):
    return np.zeros((count, columns), dtype)


def test_it_has_the_shape_of_all():
    rows = Rows([one(), one(2)])
    assert (rows.shape, rows.dtype, len(rows)) == ((3, 3), np.float32, 3)
    assert [part.shape for part in parts_of(rows)] == [(1, 3), (2, 3)]
    assert parts_of(rows.parts[0]) == (rows.parts[0],)


@pytest.mark.parametrize('other', [one(1, 4), one(1, 3, np.float64)])
def test_parts_that_differ_are_no_batch(other):
    with pytest.raises(ValueError, match='differ in more than their number'):
        Rows([one(), other])


def test_only_engines_that_bring_them_together_take_them():
    rows = {'images': Rows([one(), one(2)])}
    FeedCheck('m', (SPEC,), False, takes_rows=True)(rows)
    with pytest.raises(EngineError, match='got Rows, expected a numpy array'):
        FeedCheck('m', (SPEC,), False)(rows)
    with pytest.raises(EngineError, match=r'got shape \[1, 4\]'):
        FeedCheck('m', (SPEC,), False, takes_rows=True)({'images': Rows([one(1, 4)])})
