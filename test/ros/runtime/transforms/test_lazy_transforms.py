# SPDX-License-Identifier: Apache-2.0
"""A source of transforms that begins with the first question."""

from __future__ import annotations

import numpy as np
import pytest
from support.ros.transform_bench import START, FakeNode

from isaac_inference.ros.runtime.transforms import LazyTransforms, TransformError, TransformLibrary


def made() -> tuple[FakeNode, LazyTransforms]:
    node = FakeNode()
    return node, LazyTransforms(node, lambda: TransformLibrary.PYTRANSFORM3D)


def test_nobody_listens_before_somebody_asks() -> None:
    node, transforms = made()
    transforms.rewind(START)
    transforms.close()
    assert not node.callbacks and not transforms.counts and transforms.opened is None
    with pytest.raises(TransformError):
        transforms.lookup('base', 'lens', START)
    assert '/tf' in node.callbacks and transforms.opened is not None


def test_it_is_opened_once_and_answers_as_its_source() -> None:
    node, transforms = made()
    source = transforms.open()
    assert transforms.open() is source
    with pytest.raises(TransformError):
        transforms.wait('base', 'lens', START, 0.0)
    assert transforms.counts is source.counts
    assert transforms.pose('lens', 'lens', START, 0.0).matrix().tolist() == np.eye(4).tolist()


def test_closed_it_listens_no_more_and_may_be_asked_again() -> None:
    node, transforms = made()
    first = transforms.open()
    transforms.close()
    assert not node.callbacks and transforms.opened is None
    assert transforms.open() is not first and node.callbacks


def test_the_library_is_chosen_when_it_is_opened() -> None:
    """The node's parameters are not there yet when it is made."""
    chosen: list[TransformLibrary] = []
    transforms = LazyTransforms(FakeNode(), lambda: chosen[0])
    chosen.append(TransformLibrary.PYTRANSFORM3D)
    assert type(transforms.open()).__name__ == 'PytransformSource'
