# SPDX-License-Identifier: Apache-2.0
"""Texts to tokens, with Hugging Face's `tokenizers`, which is imported only when a card asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError, ModelError

_PADDING = ('[PAD]', '<pad>', '<|endoftext|>')


@dataclass(frozen=True)
class Tokens:
    """One text as an encoder takes it: three (L,) int64.

    Attributes:
        ids: numbers of the tokens.
        mask: 1 for a token of the text, 0 for padding.
        types: which sentence a token belongs to; 0 for all of a single one.
    """

    ids: np.ndarray
    mask: np.ndarray
    types: np.ndarray


class Tokenizer:
    """What one tokenizer.json makes of a text.

    Args:
        path: the file.
        keeps_padding: pad an open length as the file says, for encoders without a mask.

    Raises:
        ConfigError: the package `tokenizers` is missing.
        ModelError: the file cannot be read as a tokenizer.
    """

    def __init__(self, path: Path, *, keeps_padding: bool) -> None:
        try:
            import tokenizers
        except ImportError as error:
            raise ConfigError(
                f'vocabulary: encoding class names needs the Python package tokenizers, which is not installed here '
                f'({error}); pip install tokenizers, or give finished vectors: '
                '`vocabulary: {embeddings: classes.npy}`'
            ) from error
        self._path = path
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # its own errors are plain Exception
            raise ModelError(
                f'vocabulary.tokenizer: {path} cannot be read as a tokenizer ({error}); expected the tokenizer.json '
                'that is published with the text encoder'
            ) from error
        self._padding = self._padding_id()
        self._tokenizer.no_truncation()
        if not keeps_padding:
            self._tokenizer.no_padding()

    def __call__(self, text: str, length: int | None) -> Tokens:
        """The tokens of a text, padded to `length` where it is given.

        Raises:
            ModelError: no tokens, or more than `length`.
        """
        found = self._tokenizer.encode(text)
        rows = [np.asarray(row, np.int64) for row in (found.ids, found.attention_mask, found.type_ids)]
        count = int(rows[1].sum())
        if not count:
            raise ModelError(f'vocabulary.tokenizer: {self._path.name} makes no tokens of {text!r}; give it a name')
        if length is not None:
            if count > length:
                raise ModelError(
                    f'vocabulary: {text!r} is {count} tokens, but the encoder takes {length}; shorten the label or '
                    'the prompt'
                )
            rows = [_fitted(row, length, fill) for row, fill in zip(rows, (self._padding, 0, 0), strict=True)]
        return Tokens(*rows)

    def _padding_id(self) -> int:
        """The number of the token that fills up: as the file says, else by its usual names, else 0."""
        given = self._tokenizer.padding
        if given:
            return int(given['pad_id'])
        found = [self._tokenizer.token_to_id(name) for name in _PADDING]
        return next((number for number in found if number is not None), 0)


def _fitted(row: np.ndarray, length: int, fill: int) -> np.ndarray:
    """The row with exactly `length` entries; what it loses is padding."""
    return np.concatenate([row[:length], np.full(max(0, length - len(row)), fill, row.dtype)])
