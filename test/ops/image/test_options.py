# SPDX-License-Identifier: Apache-2.0
"""The choices of preprocessing: the same texts in a card, a message and a member."""

from __future__ import annotations

import json

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.image.options import (
    Anchor,
    ColorOrder,
    Fit,
    Interpolation,
    Rounding,
    TensorLayout,
    option,
)

MEMBERS = [member for kind in (ColorOrder, Fit, Anchor, Rounding, Interpolation, TensorLayout) for member in kind]


@pytest.mark.parametrize('member', MEMBERS, ids=str)
def test_a_member_is_written_as_its_text(member):
    assert member == member.value
    assert (str(member), f'{member}', json.dumps(member)) == (member.value, member.value, f'"{member.value}"')


@pytest.mark.parametrize('member', MEMBERS, ids=str)
def test_a_member_is_found_by_itself_and_by_its_text(member):
    assert option(type(member), member, 'x') is option(type(member), member.value, 'x') is member


def test_an_unknown_text_is_an_error_that_lists_the_choices():
    with pytest.raises(ConfigError, match="^letterbox fit: got 'zoom', expected one of letterbox, stretch, crop$"):
        option(Fit, 'zoom', 'letterbox fit')
