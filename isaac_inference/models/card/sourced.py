# SPDX-License-Identifier: Apache-2.0
"""A value together with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class Sourced(Generic[T]):
    """A value and where it came from, human-readable."""

    value: T
    source: str


CardValues = Mapping[str, Sourced[Any]]
"""What one card says, flat: 'decoder', 'preprocess.mean', 'objects.cup.size', ... -> value and source."""


def values_of(found: Mapping[str, Sourced[T]]) -> dict[str, T]:
    """The values alone."""
    return {name: item.value for name, item in found.items()}
