# SPDX-License-Identifier: Apache-2.0
"""The text embeddings that an open-vocabulary detector is fed, as its card says, checked against the input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.inputs import FixedArray
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.vocabulary.text_encoder import Recipe, encode

_SECTION = 'vocabulary.'
_ENCODERS_KEYS = ('encoder', 'tokenizer', 'prompt', 'normalize', 'output')


def find_embeddings(
    file: ModelFile, spec: TensorSpec, values: CardValues, labels: Sequence[str] | None
) -> Sourced[FixedArray]:
    """One vector per class, (C, D), that fits the input.

    Args:
        file: the model, for messages.
        spec: the input that takes them, [N, C, D] or [C, D].
        values: what the cards say.
        labels: the class names that a card or the metadata gives; None where neither does.

    Raises:
        ConfigError: the labels are to be encoded, and a package for that is missing.
        ModelError: nothing says where the vectors come from, or what the labels are; a file is missing or wrong; there
            is not one vector per label; or they do not have the sizes that the input takes.
    """
    given = {key.removeprefix(_SECTION): item for key, item in values.items() if key.startswith(_SECTION)}
    if labels is None or not given:
        raise ModelError(_missing(file, spec, has_labels=labels is not None, has_vocabulary=bool(given)))
    source = next(iter(given.values())).source
    classes, size = spec.shape[-2:]
    if classes not in (len(labels), None):
        raise ModelError(
            f'{file.path}: labels: {len(labels)} names, but the input {spec.describe()} takes exactly {classes} '
            f'classes; give {classes} names, or export the model with that axis open'
        )
    others = [key for key in _ENCODERS_KEYS if key in given]
    if 'embeddings' in given and others:
        raise ModelError(
            f'{source}: vocabulary: got embeddings and {", ".join(others)}; expected either embeddings alone, or '
            'encoder and tokenizer'
        )
    if 'embeddings' in given:
        found = _read(given['embeddings'].value, len(labels))
    else:
        lacking = [key for key in ('encoder', 'tokenizer') if key not in given]
        if lacking:
            raise ModelError(
                f'{source}: vocabulary: {" and ".join(lacking)} missing; expected encoder and tokenizer, or '
                'embeddings: `vocabulary: {encoder: text_encoder.onnx, tokenizer: tokenizer.json}`'
            )
        options = {key: item.value for key, item in given.items() if key != 'prompt'}
        prompt = given['prompt'].value if 'prompt' in given else '{}'
        found = encode(Recipe(prompts=tuple(prompt.replace('{}', label) for label in labels), **options))
    if size not in (found.values.shape[1], None):
        raise ModelError(
            f'{source}: vocabulary: the vectors have {found.values.shape[1]} numbers ({found.origin}), but the input '
            f'{spec.describe()} of {file.path.name} takes {size}; they must come from the text encoder that the '
            'detector was trained with'
        )
    return Sourced(found, source)


def _read(path: Path, count: int) -> FixedArray:
    """The vectors in a .npy file, one row per class."""
    what = f'expected a .npy file with ({count}, D) float32, one row per label, as numpy.save writes it'
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ModelError(f'vocabulary.embeddings: {path} cannot be read ({why}); {what}') from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != 'f':
        raise ModelError(f'vocabulary.embeddings: {path} holds {getattr(array, "dtype", "several arrays")}; {what}')
    shape = array.shape
    array = array[0] if array.ndim == 3 and shape[0] == 1 else array
    if array.ndim != 2 or len(array) != count:
        raise ModelError(f'vocabulary.embeddings: {path} is {list(shape)}; {what}')
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all() or not array.any(axis=1).all():
        raise ModelError(f'vocabulary.embeddings: {path} has rows that are zero or not finite; {what}')
    array.flags.writeable = False
    digest = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
    return FixedArray(array, digest, f'{array.shape[0]} x {array.shape[1]} of {path.name}')


def _missing(file: ModelFile, spec: TensorSpec, *, has_labels: bool, has_vocabulary: bool) -> str:
    """What to add to the card of a model that takes embeddings."""
    size = spec.shape[-1] or 'D'
    labels = '' if has_labels else '\n    labels: [first name, second name]'
    lacking = ' and '.join(
        what
        for what, is_there in (('where they come from', has_vocabulary), ('what the classes are', has_labels))
        if not is_there
    )
    ways = [
        f'vocabulary: {{embeddings: classes.npy}}  # float32 (classes, {size}), one row per label',
        'vocabulary: {encoder: text_encoder.onnx, tokenizer: tokenizer.json, prompt: "a photo of a {}"}',
    ]
    lines = labels if has_vocabulary else '\n  or:'.join(f'{labels}\n    {way}' for way in ways)
    return (
        f'{file.path}: the input {spec.describe()} takes a text embedding per class, and nothing says {lacking}. '
        f'Add to the card {file.path.with_suffix(".yaml").name} beside the model:{lines}'
    )
