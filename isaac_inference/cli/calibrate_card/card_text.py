# SPDX-License-Identifier: Apache-2.0
"""Puts lines into the text of a card file and leaves everything else in it as it is, comments too."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from isaac_inference.errors import ConfigError


def sections_of(text: str) -> dict[str, tuple[int, int]]:
    """Section -> (first line, line after the last) in the text of a card; comments after a section do not belong to it.

    Raises:
        ConfigError: the text is not YAML, or is not written as one key a line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f'card: not valid YAML: {" ".join(str(error).split())}') from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise ConfigError('card: written in one piece, expected one key per line; add the lines by hand, or use --out')
    lines = text.splitlines()
    starts = [key.start_mark.line for key, _ in root.value]
    found = {}
    for (key, _), start, stop in zip(root.value, starts, [*starts[1:], len(lines)], strict=True):
        while stop > start + 1 and (not lines[stop - 1].strip() or lines[stop - 1].startswith(('#', '...', '---'))):
            stop -= 1
        found[str(key.value)] = (start, stop)
    return found


def with_lines(text: str, new: Mapping[str, str], comment: str = '') -> str:
    """The text with these sections, each replaced where it is or appended.

    Args:
        text: of a card file; '' for a new one.
        new: section -> its line, such as 'preprocess: {convention: rf_detr}'.
        comment: put behind each line.

    Raises:
        ConfigError: as for `sections_of`.

    Example:
        >>> with_lines('labels: [cup]  # one\\n', {'preprocess': 'preprocess: {convention: yolox}'}).splitlines()
        ['labels: [cup]  # one', 'preprocess: {convention: yolox}']
    """
    places = sections_of(text)
    lines = text.splitlines()
    tail = f'  # {comment}' if comment else ''
    for section in sorted(new, key=lambda name: places.get(name, (len(lines), 0)), reverse=True):
        start, stop = places.get(section, (len(lines), len(lines)))
        lines[start:stop] = [new[section] + tail]
    return '\n'.join(lines) + '\n'
