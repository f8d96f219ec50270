# SPDX-License-Identifier: Apache-2.0
"""What a model's inputs beside the image take: sizes, scales, masks and embeddings, constants for one input size."""

from __future__ import annotations

from collections.abc import Collection

from isaac_inference.errors import ModelError
from isaac_inference.models.card.inputs import ValueRole
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile

ValueFinding = tuple[ValueRole, Sourced[TensorSpec]]

CARD_ROLES = {
    'image_size': ValueRole.IMAGE_SIZE,
    'image_shape': ValueRole.IMAGE_SHAPE,
    'scale_factor': ValueRole.SCALE_FACTOR,
    'pixel_mask': ValueRole.PIXEL_MASK,
    'text_embeddings': ValueRole.TEXT_EMBEDDINGS,
    'depth': ValueRole.DEPTH,
}
_SHAPES = {
    ValueRole.PIXEL_MASK: '[N, height, width]',
    ValueRole.TEXT_EMBEDDINGS: 'float [N, classes, D] or [classes, D]',
    ValueRole.DEPTH: 'float [N, 1, height, width], [N, height, width, 1] or [N, height, width]',
}
_EMBEDDING_WORDS = ('text', 'txt', 'embed', 'vocab', 'prompt', 'class_feat', 'cls_feat')
_OTHER_EMBEDDINGS = ('mask', 'visual', 'image', 'pos')  # beside those of texts
_EMBEDDING_NAMES = ('tpe',)  # YOLOE's text prompt embedding
_TEXT = ('input_ids', 'token', 'text', 'txt', 'prompt', 'caption')


def find_value_inputs(
    file: ModelFile, images: Collection[str], values: CardValues, *, takes_depth: bool = False
) -> tuple[ValueFinding, ...]:
    """The role of each input beside the images.

    Args:
        file: the model.
        images: names of the inputs that take images.
        values: what the cards say.
        takes_depth: whether one of the others may be a depth image.

    Raises:
        ModelError: an input that cannot be fed, with all of them named at once.
    """
    given = {item.value.name: (role, item) for role, item in _from_card(file, values)}
    found: list[ValueFinding] = []
    unknown = []
    for spec in file.inputs:
        if spec.name in images:
            continue
        role, item = given.get(spec.name, (_role(spec, takes_depth), Sourced(spec, f'name and shape of {spec.name}')))
        if role is None or (role is ValueRole.DEPTH and not takes_depth) or any(role is taken for taken, _ in found):
            unknown.append(spec)
        else:
            found.append((role, item))
    if unknown:
        raise _cannot_feed(file, unknown)
    return tuple(found)


def _from_card(file: ModelFile, values: CardValues) -> list[ValueFinding]:
    """The inputs that a card names, `size_input` and those of the section `value_inputs`."""
    by_name = {spec.name: spec for spec in file.inputs}
    found = []
    for key, sourced in values.items():
        section, _, name = key.partition('.')
        if key != 'size_input' and section != 'value_inputs':
            continue
        role = ValueRole.IMAGE_SIZE if key == 'size_input' else CARD_ROLES[name]
        spec = by_name.get(sourced.value)
        if spec is None:
            raise ModelError(
                f'{sourced.source}: {key}: {file.path.name} has no input {sourced.value!r}; '
                f'its inputs are: {", ".join(by_name)}'
            )
        if not _fits(role, spec):
            raise ModelError(
                f'{file.path}: the input {spec.describe()} cannot be the {role.value.replace("_", " ")} input; '
                f'expected {_SHAPES.get(role, "[N, 2]")}'
            )
        found.append((role, Sourced(spec, sourced.source)))
    return found


def _role(spec: TensorSpec, takes_depth: bool) -> ValueRole | None:
    """What an input takes, by its name and shape."""
    name = spec.name.lower()
    if takes_depth and _fits(ValueRole.DEPTH, spec):
        return ValueRole.DEPTH
    if 'pixel_mask' in name and _fits(ValueRole.PIXEL_MASK, spec):
        return ValueRole.PIXEL_MASK
    is_embedding = name in _EMBEDDING_NAMES or any(word in name for word in _EMBEDDING_WORDS)
    is_other = any(word in name for word in _OTHER_EMBEDDINGS)
    if is_embedding and not is_other and _fits(ValueRole.TEXT_EMBEDDINGS, spec):
        return ValueRole.TEXT_EMBEDDINGS
    if not _fits(ValueRole.IMAGE_SIZE, spec):
        return None
    if 'scale_factor' in name:
        return ValueRole.SCALE_FACTOR
    if 'im_shape' in name or 'image_shape' in name:
        return ValueRole.IMAGE_SHAPE
    return ValueRole.IMAGE_SIZE if spec.dtype in ('int32', 'int64') or 'target_size' in name else None


def _fits(role: ValueRole, spec: TensorSpec) -> bool:
    """True when a tensor has the shape that its role needs."""
    if role is ValueRole.PIXEL_MASK:
        return len(spec.shape) == 3
    if role is ValueRole.DEPTH:
        one_channel = len(spec.shape) == 3 or (len(spec.shape) == 4 and 1 in (spec.shape[1], spec.shape[3]))
        return one_channel and spec.dtype.startswith('float')
    if role is ValueRole.TEXT_EMBEDDINGS:
        has_rank = len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[0] in (1, None))
        return has_rank and spec.dtype in ('float32', 'float16')
    return len(spec.shape) == 2 and spec.shape[1] in (2, None)


def _cannot_feed(file: ModelFile, unknown: list[TensorSpec]) -> ModelError:
    """The error for inputs that nothing here can feed."""
    names = ', '.join(spec.describe() for spec in unknown)
    if any(word in spec.name.lower() for spec in unknown for word in _TEXT):
        return ModelError(
            f'{file.path}: besides the image the model takes a text ({names}), as Grounding DINO takes its tokens, '
            'which is not supported. What works: a detector that takes an embedding per class, as exports of '
            'YOLO-World with an input txt_feats [1, classes, 512] and `vocabulary:` in the card; or one whose classes '
            'are fixed in the graph, as with `model.set_classes([...])` before `model.export(format="onnx")`'
        )
    return ModelError(
        f'{file.path}: besides the image the model needs {names}, which is not supported; expected '
        'nothing else, or inputs [N, 2] for the image size (orig_target_sizes), im_shape or scale_factor, a pixel_mask '
        f'or text_embeddings [N, classes, D]. Found:{file.describe()}\n  Export it without'
    )
