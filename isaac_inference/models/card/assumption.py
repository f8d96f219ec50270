# SPDX-License-Identifier: Apache-2.0
"""What a card takes for granted although neither the file nor a card says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """A value that the file does not say and that other exports of the same layout have otherwise.

    Attributes:
        field: of the card, such as 'preprocess'.
        value: what is assumed, for people.
        why: what speaks for it, and why it is not certain.
        alternatives: what a card would say for each other value: a YAML line, and whose exports it is right for.
    """

    field: str
    value: str
    why: str
    alternatives: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """One sentence for logs and tables, with the lines that a card may have instead."""
        others = '; '.join(f'`{line}` ({whose})' for line, whose in self.alternatives)
        return f'{self.field}: assumed {self.value} ({self.why}); also common: {others}'
