# SPDX-License-Identifier: Apache-2.0
"""The names of streams: each is the first part of its topics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from isaac_inference.errors import ConfigError

UNNAMED = ''
"""The one stream of a node that has no others: its topics have no prefix."""

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*')


def check_streams(names: Sequence[str], parameter: str = 'streams') -> tuple[str, ...]:
    """The streams of a node, in their order: `UNNAMED` alone where no names are given.

    Args:
        names: one for each camera; a name is a part of a topic.
        parameter: what it was given as, for messages.

    Raises:
        ConfigError: names that topics cannot begin with, and names that are given twice; all of them at once.
    """
    wrong = [name for name in dict.fromkeys(names) if not _NAME.fullmatch(name)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    problems = []
    if wrong:
        problems.append(
            f'got {", ".join(map(repr, wrong))}, expected names that a topic can begin with: a letter, then letters, '
            'digits and single underscores, such as front or left_2'
        )
    if twice:
        problems.append(
            f'{", ".join(map(repr, twice))} is given more than once, expected one name for each camera: two streams of '
            'one name would be one topic'
        )
    if problems:
        raise ConfigError(f'parameter {parameter}: {"; ".join(problems)}')
    return tuple(names) or (UNNAMED,)
