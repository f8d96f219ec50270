# SPDX-License-Identifier: Apache-2.0
"""Reads a model's card once and caches it until one of its files changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import (
    EMBEDDED_KEY,
    CardValues,
    label_file_of,
    merge,
    parse_card,
    read_card_file,
    vocabulary_files_of,
)
from isaac_inference.models.card.find_card import card_beside, find_card
from isaac_inference.models.objects_card import ObjectsCard, read_objects_card
from isaac_inference.models.onnx.reader import ModelFile, find_model, read_model_file
from isaac_inference.models.recognition.infer import build_card

_Stamp = tuple[int, int] | None


@dataclass(frozen=True)
class _Entry:
    """A card, and the state of each file it was made from (modification time in ns and size; None for no
    file).
    """

    card: ModelCard
    stamps: dict[Path, _Stamp]


_cache: dict[tuple[Path, Path | None], _Entry] = {}
_lock = threading.Lock()


def read_card(model: str | Path, card: str | Path | None = None) -> ModelCard:
    """The card of a model: what its ONNX file says, completed by YAML.

    Each value comes from the first of these that gives it: the card named here, the card beside the model
    (`<model>.yaml`), the card embedded in the file, the exporter's metadata, the shapes, the family's
    defaults. Thread-safe. A card is read once per process: nodes that share a model get the same object.

    Args:
        model: path of the ONNX file; `~` is the user's home.
        card: path of a YAML card, or its name in config/models; '' is the same as None.

    Raises:
        ModelError: the file is not a usable model, a card is wrong or contradicts it, or required information is
            missing.
    """
    path = find_model(model)
    explicit = find_card(card) if card is not None and str(card) else None
    with _lock:
        entry = _cache.get((path, explicit))
        if entry is None or any(_stamp(item) != stamp for item, stamp in entry.stamps.items()):
            entry = _read(path, explicit)
            _cache[path, explicit] = entry
        return entry.card


def read_objects(model: str | Path, card: str | Path | None = None) -> ModelCard | ObjectsCard | None:
    """What is known of the objects: by a model's card, or by a card alone where no model is given; None without either.

    Args:
        model: path of the ONNX file; '' for none.
        card: path of a YAML card, or its name in config/models; '' is the same as None.

    Raises:
        ModelError: as of `read_card` and `read_objects_card`.
    """
    if str(model):
        return read_card(model, card)
    return read_objects_card(find_card(card)) if card is not None and str(card) else None


def read_sources(model: str | Path, card: str | Path | None = None) -> tuple[ModelFile, CardValues]:
    """What `read_card` makes a card of, for those who try other values: what the file says, and what all cards say.

    Never cached; `build_card` makes the card of it.

    Args:
        model, card: as for `read_card`.

    Raises:
        ModelError: the file is not a usable model, or a card cannot be read.
    """
    path = find_model(model)
    return _sources(path, _cards(path, find_card(card) if card is not None and str(card) else None))


def _cards(path: Path, explicit: Path | None) -> list[Path]:
    """The card files of a model, the one that wins first."""
    return [item for item in dict.fromkeys((explicit, card_beside(path))) if item is not None]


def _sources(path: Path, cards: list[Path]) -> tuple[ModelFile, CardValues]:
    """What the file says, and what these card files and the embedded card say."""
    layers: list[CardValues] = [read_card_file(item) for item in cards]
    file = read_model_file(path)
    if EMBEDDED_KEY in file.metadata:
        layers.append(parse_card(file.metadata[EMBEDDED_KEY], f'card in {path.name}', None, path.parent))
    return file, merge(layers)


def _read(path: Path, explicit: Path | None) -> _Entry:
    """Read all files from scratch. The stamps are taken first, so that a file that changes meanwhile is read again
    later.
    """
    cards = _cards(path, explicit)
    watched = {path, *cards, path.with_suffix('.yaml'), path.with_suffix('.yml')}
    stamps = {item: _stamp(item) for item in watched}
    file, values = _sources(path, cards)
    for item in (*file.external_files, *(label_file_of(item) for item in cards), *vocabulary_files_of(values)):
        if item is not None:
            stamps[item] = _stamp(item)
    return _Entry(build_card(file, values), stamps)


def _stamp(path: Path) -> _Stamp:
    """A file's modification time in ns and its size in bytes; None when it does not exist."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size
