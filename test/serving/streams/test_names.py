# SPDX-License-Identifier: Apache-2.0
"""Names of streams: what a topic can begin with, each once."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.serving.streams.names import check_streams


def test_names_are_kept_in_their_order_and_none_is_one_unnamed():
    assert check_streams(['rear', 'front', 'left_2', 'A']) == ('rear', 'front', 'left_2', 'A')
    assert check_streams([]) == ('',)


@pytest.mark.parametrize(
    'name', ['', ' ', '2nd', '_left', 'left_', 'a__b', 'left/rear', '/left', '~left', 'left-1', 'left.x', 'über', 'a b']
)
def test_what_no_topic_can_begin_with_is_refused(name):
    with pytest.raises(ConfigError, match='parameter streams: got .*expected names that a topic can begin with') as it:
        check_streams(['front', name])
    assert repr(name) in str(it.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as caught:
        check_streams(['front', 'left', 'front', 'a-b', 'left', 'left'])
    text = str(caught.value)
    assert "'a-b'" in text and "'front', 'left' is given more than once" in text
