# SPDX-License-Identifier: Apache-2.0
"""Checks for the values in a card: each returns the value from YAML, or says what it accepts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isaac_inference.ops.keypoints.decode_points import COLUMNS

Check = Callable[[Any], Any]
"""Returns the checked value, or raises ValueError whose text says what was expected."""


def text(value: Any) -> str:
    """A non-empty text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError('a text')
    return value


def one_of(*choices: str) -> Check:
    """One of a few names."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError('one of ' + ', '.join(choices))
        return str(value)

    return check


def task(*supported: str) -> Check:
    """A task by name; also the exporters' words 'pose' and 'segment', which files contain."""
    named = one_of(*supported)
    words = {'pose': 'keypoints', 'segment': 'instance_segmentation'}

    def check(value: Any) -> str:
        return str(named(words.get(value, value) if isinstance(value, str) else value))

    return check


def size_wh(value: Any) -> tuple[int, int]:
    """[width, height] in px."""
    if (
        not isinstance(value, (list, tuple))
        or len(value) != 2
        or not all(type(item) is int and 1 <= item <= 16384 for item in value)
    ):
        raise ValueError('[width, height] in px, two whole numbers from 1 to 16384')
    return (value[0], value[1])


def byte(value: Any) -> int:
    """A whole number from 0 to 255."""
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError('a whole number from 0 to 255')
    return value


def true_or_false(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError('true or false')
    return value


def prompt(value: Any) -> str:
    """A text with one `{}`, in whose place the name of a class is put."""
    if not isinstance(value, str) or value.count('{}') != 1:
        raise ValueError('a text with {} once, where the name of the class goes, such as "a photo of a {}"')
    return value


def factor(value: Any) -> float:
    """A positive number, or a fraction written as text: '1/255'."""
    if isinstance(value, str) and value.count('/') == 1:
        try:
            over, under = (float(part) for part in value.split('/'))
            value = over / under
        except (ValueError, ZeroDivisionError):
            value = None
    if not is_number(value) or value <= 0:
        raise ValueError('a number above 0, such as 1.0 or 1/255')
    return float(value)


def number(value: Any) -> float:
    """A finite number."""
    if not is_number(value):
        raise ValueError('a number')
    return float(value)


def nonzero(value: Any) -> float:
    """A finite number that is not 0."""
    if not is_number(value) or value == 0:
        raise ValueError('a number that is not 0')
    return float(value)


def triple(value: Any) -> tuple[float, float, float]:
    """Three finite numbers, one per channel; a single number stands for all three."""
    if is_number(value):
        value = [value] * 3
    if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(is_number(item) for item in value):
        raise ValueError('three numbers, one per channel, such as [0.485, 0.456, 0.406]')
    return (float(value[0]), float(value[1]), float(value[2]))


def positive_triple(value: Any) -> tuple[float, float, float]:
    """Three numbers above 0, one per channel; a single number stands for all three."""
    numbers = triple(value)
    if min(numbers) <= 0:
        raise ValueError('three numbers above 0, one per channel, such as [0.229, 0.224, 0.225]')
    return numbers


def number_from(minimum: float, maximum: float) -> Check:
    """A number within limits."""

    def check(value: Any) -> float:
        if not is_number(value) or not minimum <= value <= maximum:
            raise ValueError(f'a number from {minimum:g} to {maximum:g}')
        return float(value)

    return check


def point_columns(value: Any) -> tuple[str, ...]:
    """What the values of a keypoint are."""
    names = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not set(names) <= set(COLUMNS) or names.count('x') != 1 or names.count('y') != 1:
        raise ValueError(f'a list with x and y once each, such as [y, x, confidence]; known are {", ".join(COLUMNS)}')
    return names


def whole(minimum: int, maximum: int) -> Check:
    """A whole number within limits."""

    def check(value: Any) -> int:
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError(f'a whole number from {minimum} to {maximum}')
        return value

    return check


def anything(value: Any) -> Any:
    """Any value; checked later, where its meaning is known."""
    return value


def is_number(value: Any) -> bool:
    """True for a finite number that is not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
