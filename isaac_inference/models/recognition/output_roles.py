# SPDX-License-Identifier: Apache-2.0
"""Which output plays which role for a decoder: by shape and type, and by name if those leave a choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile

Roles = Mapping[str, TensorSpec]

_MOST_DISTINCTIVE_FIRST = ('num_detections', 'boxes', 'labels', 'scores', 'logits', 'predictions')

_NAME_PARTS = {
    'predictions': ('pred', 'output', 'det'),
    'logits': ('logit', 'label', 'class', 'cls', 'score'),
    'boxes': ('box', 'det'),
    'scores': ('score', 'conf'),
    'labels': ('label', 'class', 'cls', 'categor'),
    'num_detections': ('num',),
}


def roles_from_card(file: ModelFile, decoder: str, values: CardValues) -> dict[str, Sourced[TensorSpec]]:
    """The roles that a card gives to outputs by name; raises ModelError for a role or a tensor that does not
    exist.
    """
    by_name = {spec.name: spec for spec in file.outputs}
    known = FAMILIES[decoder].roles
    roles = {}
    for key, value in values.items():
        section, _, role = key.partition('.')
        if section != 'outputs':
            continue
        if role not in known:
            raise ModelError(
                f'{value.source}: outputs: the decoder {decoder} has no role {role!r}; '
                f'its roles are: {", ".join(known)}'
            )
        if value.value not in by_name:
            raise ModelError(
                f'{value.source}: outputs.{role}: {file.path.name} has no output {value.value!r}; '
                f'its outputs are: {", ".join(by_name)}'
            )
        roles[role] = Sourced(by_name[value.value], value.source)
    return roles


def match_roles(
    decoder: str, outputs: Sequence[TensorSpec], given: Roles | None = None
) -> dict[str, TensorSpec] | None:
    """One output for every role of a decoder, or None where the outputs do not fit it.

    Args:
        decoder: a key of `families.FAMILIES`.
        outputs: the model's outputs.
        given: roles that a card has settled.
    """
    roles = dict(given or {})
    for role in _MOST_DISTINCTIVE_FIRST:
        if role not in FAMILIES[decoder].roles or role in roles:
            continue
        taken = {spec.name for spec in roles.values()}
        fitting = [spec for spec in outputs if spec.name not in taken and _fits(role, spec)]
        spec = _the_one(role, fitting)
        if spec is None:
            return None
        roles[role] = spec
    return {role: roles[role] for role in FAMILIES[decoder].roles} if _same_rows(roles.values()) else None


def _the_one(role: str, fitting: list[TensorSpec]) -> TensorSpec | None:
    """The only fitting output, or the only one of them whose name says what it is."""
    if len(fitting) > 1:
        fitting = [spec for spec in fitting if any(part in spec.name.lower() for part in _NAME_PARTS[role])]
    return fitting[0] if len(fitting) == 1 else None


def _fits(role: str, spec: TensorSpec) -> bool:
    """True when shape and type allow an output to play a role."""
    rank, last = len(spec.shape), spec.shape[-1] if spec.shape else None
    is_float = spec.dtype.startswith(('float', 'bfloat'))
    if role in ('predictions', 'logits'):
        return is_float and rank == 3
    if role == 'boxes':
        return is_float and rank == 3 and last in (4, None)
    if role == 'num_detections':
        return (rank == 1 and last in (1, None)) or (rank == 2 and last == 1)
    named = any(part in spec.name.lower() for part in _NAME_PARTS['labels'])
    if rank != 2:
        return False
    return (is_float and not named) if role == 'scores' else (not is_float or named)


def _same_rows(specs: Iterable[TensorSpec]) -> bool:
    """True when all outputs with a box axis agree on its length, as far as they fix it."""
    rows = {spec.shape[1] for spec in specs if len(spec.shape) >= 2 and spec.shape[1:] != (1,)}
    return len(rows - {None}) <= 1
