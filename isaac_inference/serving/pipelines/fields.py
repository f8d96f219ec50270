# SPDX-License-Identifier: Apache-2.0
"""Values of a YAML file with their places, so that all that is wrong with it is said at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.serving.streams.names import check_streams

_TOPIC = re.compile(r'/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
_SHOWN = 60  # characters of a value in an error


class OneOfAKind(yaml.SafeLoader):
    """YAML in which no key comes twice: the last one would win without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node; raises YAMLError for a key that comes twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            name = getattr(key, 'value', None)
            if isinstance(name, str):
                if name in seen:
                    raise yaml.YAMLError(
                        f'key {name!r} comes twice, the second time in line {key.start_mark.line + 1}; remove one of '
                        'them, or give it another name'
                    )
                seen.add(name)
        return super().construct_mapping(node, deep)


class Fields:
    """A mapping of the file: takes values out of it, and notes what is wrong.

    Args:
        values: what the file has at this place.
        where: the place, for errors: 'pipelines[0] (objects)'.
        problems: gets a sentence for each fault.
    """

    def __init__(self, values: Any, where: str, problems: list[str]) -> None:
        self.where, self._problems = where, problems
        self._values: dict[str, Any] = {}
        if isinstance(values, Mapping):
            self._values = {str(name): value for name, value in values.items()}
        elif values is not None:
            self.refuse('', values, 'lines of "key: value"')

    def refuse(self, key: str, value: Any, expected: str) -> None:
        """Note that a value is not what was expected."""
        place = f'{self.where}.{key}' if key and self.where else key or self.where or 'the file'
        text = repr(value)
        self._problems.append(
            f'{place}: got {text if len(text) <= _SHOWN else text[:_SHOWN] + "..."}, expected {expected}'
        )

    def only(self, known: Iterable[str]) -> None:
        """Note every key that there is not."""
        known = list(known)
        for name in self._values:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f'did you mean {close[0]}?' if close else f'there are: {", ".join(known)}'
                place = f'{self.where}.{name}' if self.where else name
                self._problems.append(f'{place}: no such key, {hint}')

    def get(self, key: str) -> Any:
        """A value as it is; None where there is none."""
        return self._values.get(key)

    def text(self, key: str, default: str = '', *, expected: str = 'text') -> str:
        """A text."""
        value = self.get(key)
        if value is None or isinstance(value, str):
            return default if value is None else value
        if isinstance(value, int) and not isinstance(value, bool):  # such as the index of a camera
            return str(value)
        self.refuse(key, value, expected)
        return default

    def name(self, key: str, default: str = '') -> str:
        """A text that can be part of a ROS name."""
        value = self.text(key, default, expected=NAME_EXPECTED)
        if value and not is_name(value):
            self.refuse(key, value, NAME_EXPECTED)
        return value

    def topic(self, key: str, default: str) -> str:
        """The name of a topic or a namespace."""
        value = self.text(key, default, expected='the name of a topic')
        if value and not _TOPIC.fullmatch(value):
            self.refuse(key, value, 'letters, digits, _ and / between words, as in front/image_raw')
        return value

    def switch(self, key: str) -> bool:
        """True or false; false where there is none."""
        value = self.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.refuse(key, value, 'true or false')
        return False

    def whole(self, key: str, default: int, minimum: int, maximum: int | None = None, meaning: str = '') -> int:
        """A whole number in a range."""
        value = self.get(key)
        if value is None:
            return default
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and minimum <= value and (maximum is None or value <= maximum):
            return int(value)
        limit = f'of at least {minimum}' if maximum is None else f'in {minimum}..{maximum}'
        self.refuse(key, value, f'a whole number {limit}{meaning}')
        return default

    def number(self, key: str, default: float) -> float:
        """A finite number that is not negative."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
            return float(value)
        self.refuse(key, value, 'a number of at least 0')
        return default

    def texts(self, key: str, expected: str) -> tuple[str, ...] | None:
        """A list of texts; one alone may be written without brackets. None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
            self.refuse(key, value, expected)
            return None
        return tuple(entries)


NAME_EXPECTED = 'a name of letters, digits and single _ between them that begins with a letter'


def is_name(text: str) -> bool:
    """Whether a text can be the name of a pipeline or a stream, which is part of ROS names."""
    try:
        check_streams((text,))
    except ConfigError:
        return False
    return True
