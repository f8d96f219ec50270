# SPDX-License-Identifier: Apache-2.0
"""PreprocessSpec: its choices may be given as text."""

from __future__ import annotations

import dataclasses

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.models import PreprocessSpec
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Interpolation, Rounding


def test_texts_become_the_members_that_they_name():
    spec = PreprocessSpec(color='bgr', fit='crop', anchor='top_left', rounding='floor', interpolation='area')
    assert spec.color is ColorOrder.BGR and spec.fit is Fit.CROP and spec.anchor is Anchor.TOP_LEFT
    assert spec.rounding is Rounding.FLOOR and spec.interpolation is Interpolation.AREA
    same = PreprocessSpec(
        ColorOrder.BGR,
        fit=Fit.CROP,
        anchor=Anchor.TOP_LEFT,
        rounding=Rounding.FLOOR,
        interpolation=Interpolation.AREA,
    )
    assert spec == same and hash(spec) == hash(same)


def test_an_unknown_text_is_an_error_that_names_the_field():
    with pytest.raises(ConfigError, match="^preprocess.fit: got 'zoom', expected one of letterbox, stretch, crop$"):
        dataclasses.replace(PreprocessSpec(), fit='zoom')
