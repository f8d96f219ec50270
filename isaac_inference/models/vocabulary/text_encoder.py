# SPDX-License-Identifier: Apache-2.0
"""Class names to vectors with an ONNX text encoder, as CLIP's or a sentence encoder, on the CPU."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card_file import weights_beside
from isaac_inference.models.card.inputs import FixedArray
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile, read_model_file
from isaac_inference.models.precision.session import Session
from isaac_inference.models.vocabulary.tokens import Tokenizer, Tokens

_POOLED = ('text_embeds', 'sentence_embedding', 'text_embeddings', 'text_features', 'embeddings', 'pooler_output')
_PER_TOKEN = ('last_hidden_state', 'token_embeddings')
_LEAST_NORM = 1e-12


@dataclass(frozen=True)
class Recipe:
    """How classes become vectors.

    Attributes:
        encoder: ONNX file; takes input_ids, and attention_mask and token_type_ids where it has them.
        tokenizer: the encoder's tokenizer.json.
        prompts: one text per class.
        normalize: scale each vector to length 1.
        output: the encoder's output to take; '' for the usual one.
    """

    encoder: Path
    tokenizer: Path
    prompts: tuple[str, ...]
    normalize: bool = True
    output: str = ''


def encode(recipe: Recipe) -> FixedArray:
    """One vector per prompt, (C, D) float32; the same object for the same recipe until one of its files changes.

    The output is a vector per text (such as text_embeds), or one per token (last_hidden_state): then the mean over the
    tokens of the text, as sentence encoders are meant to be used.

    Raises:
        ConfigError: the package `tokenizers` or ONNX Runtime is missing.
        ModelError: a file is missing or no encoder or tokenizer, they do not fit each other, or two prompts become the
            same tokens.
    """
    stamps: list[tuple[int, int]] = []
    for key, path in (('encoder', recipe.encoder), ('tokenizer', recipe.tokenizer)):
        try:
            state = path.stat()
        except OSError as error:
            raise ModelError(
                f'vocabulary.{key}: {path} cannot be read ({error.strerror}); paths are relative to the card'
            ) from error
        stamps.append((state.st_mtime_ns, state.st_size))
    weights = [path.stat() for path in weights_beside(recipe.encoder) if path.exists()]
    return _encode(recipe, (*stamps, *((state.st_mtime_ns, state.st_size) for state in weights)))


@functools.lru_cache(maxsize=4)
def _encode(recipe: Recipe, stamps: tuple[tuple[int, int], ...]) -> FixedArray:
    """`encode` for one state of the files."""
    del stamps
    file = read_model_file(recipe.encoder)
    inputs = _inputs_by_role(file)
    output = _output(file, recipe.output)
    tokenizer = Tokenizer(recipe.tokenizer, keeps_padding='mask' not in inputs)
    length = inputs['ids'].shape[1]
    texts = [tokenizer(prompt, length) for prompt in recipe.prompts]
    _check_distinct(recipe, texts)
    session = Session(recipe.encoder)
    rows = []
    for prompt, tokens in zip(recipe.prompts, texts, strict=True):
        try:
            (array,) = session.run(_feeds(inputs, tokens), [output.name])
        except ModelError as error:
            raise ModelError(
                f'{recipe.encoder}: it cannot encode {prompt!r} ({error}); is {recipe.tokenizer.name} the tokenizer of '
                'this encoder?'
            ) from error
        rows.append(_pooled(file, output, array, tokens))
    values = np.stack(rows).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f'{recipe.encoder}: the vectors are not finite; give the encoder in float32')
    if recipe.normalize:
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _LEAST_NORM)
    values.flags.writeable = False
    return FixedArray(values, _digest(recipe, file, output), _origin(recipe, output, values))


def _inputs_by_role(file: ModelFile) -> dict[str, TensorSpec]:
    """The encoder's inputs as 'ids', 'mask' and 'types'."""
    found: dict[str, TensorSpec] = {}
    for spec in file.inputs:
        name = spec.name.lower()
        role = 'mask' if 'mask' in name else 'types' if 'type' in name else 'ids'
        if role in found or len(spec.shape) != 2 or spec.dtype not in ('int64', 'int32'):
            found = {}
            break
        found[role] = spec
    if 'ids' not in found:
        raise ModelError(
            f'vocabulary.encoder: {file.path} takes no text alone; expected input_ids int64 [N, length], and '
            'attention_mask and token_type_ids where it needs them. Export the text part of the network by itself, as '
            f'CLIPTextModelWithProjection. Found:{file.describe()}'
        )
    return found


def _output(file: ModelFile, wanted: str) -> TensorSpec:
    """The output that holds the vectors: the one that the card names, else the usual one."""
    by_name = {spec.name: spec for spec in file.outputs}
    if wanted:
        if wanted not in by_name:
            raise ModelError(
                f'vocabulary.output: {file.path.name} has no output {wanted!r}; its outputs are: {", ".join(by_name)}'
            )
        return by_name[wanted]
    for names, rank in ((_POOLED, 2), (_PER_TOKEN, 3)):
        candidates = [spec for spec in file.outputs if len(spec.shape) == rank]
        usual = next((by_name[name] for name in names if by_name.get(name) in candidates), None)
        if usual is not None or len(candidates) == 1:
            return usual or candidates[0]
    raise ModelError(
        f'vocabulary.encoder: nothing says which output of {file.path} holds the vectors; expected one of shape '
        '[N, D], or [N, length, D] for the mean over the tokens. Add to the card: '
        f'`vocabulary: {{output: <name>}}`. Found:{file.describe()}'
    )


def _check_distinct(recipe: Recipe, texts: list[Tokens]) -> None:
    """Raise ModelError where two prompts become the same tokens, so that their classes could not be told apart."""
    seen: dict[bytes, str] = {}
    for prompt, tokens in zip(recipe.prompts, texts, strict=True):
        other = seen.setdefault(tokens.ids.tobytes(), prompt)
        if other != prompt:
            raise ModelError(
                f'vocabulary.tokenizer: {recipe.tokenizer.name} makes the same tokens of {other!r} and {prompt!r}, so '
                'that these classes cannot be told apart; give words that it knows'
            )


def _feeds(inputs: Mapping[str, TensorSpec], tokens: Tokens) -> dict[str, np.ndarray]:
    """One text for the encoder's inputs, repeated where the file wants several at once."""
    values = {'ids': tokens.ids, 'mask': tokens.mask, 'types': tokens.types}
    return {
        spec.name: np.repeat(values[role][None], spec.shape[0] or 1, axis=0).astype(spec.dtype)
        for role, spec in inputs.items()
    }


def _pooled(file: ModelFile, output: TensorSpec, array: np.ndarray, tokens: Tokens) -> np.ndarray:
    """(D,) of one text."""
    if array.ndim == 2:
        return np.asarray(array[0], np.float64)
    if array.ndim == 3 and array.shape[1] == len(tokens.mask):
        weights = tokens.mask / tokens.mask.sum()
        return np.asarray(weights @ array[0].astype(np.float64))
    raise ModelError(
        f'vocabulary.encoder: the output {output.describe()} of {file.path} came as {list(array.shape)} for '
        f'{len(tokens.mask)} tokens; expected [N, D], or [N, length, D]. Name another one: '
        '`vocabulary: {output: <name>}`'
    )


def _digest(recipe: Recipe, file: ModelFile, output: TensorSpec) -> str:
    """A hash over what the vectors are made from."""
    tokenizer = hashlib.sha256(recipe.tokenizer.read_bytes()).hexdigest()
    made_from = (file.sha256, tokenizer, recipe.prompts, recipe.normalize, output.name)
    return hashlib.sha256(repr(made_from).encode()).hexdigest()


def _origin(recipe: Recipe, output: TensorSpec, values: np.ndarray) -> str:
    """How the vectors were made, for people."""
    how = f'mean of {output.name} over the tokens' if len(output.shape) == 3 else output.name
    length = ', length 1' if recipe.normalize else ''
    return (
        f'{values.shape[0]} x {values.shape[1]}, encoded with {recipe.encoder.name} and '
        f'{recipe.tokenizer.name} ({how}{length}), the first as {recipe.prompts[0]!r}'
    )
