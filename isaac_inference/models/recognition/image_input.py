# SPDX-License-Identifier: Apache-2.0
"""Which of a model's inputs takes the image, in which layout and size, and which one takes the size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isaac_inference.errors import ModelError
from isaac_inference.models.card.inputs import (
    FixedArray,
    ImageInput,
    PreprocessSpec,
    ValueInput,
    ValueRole,
    spatial_dims,
)
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.layouts.grid import STRIDES, cell_count
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.value_inputs import ValueFinding, find_value_inputs
from isaac_inference.ops.image.options import TENSOR_TYPES, TensorLayout

IMAGE_DTYPES = TENSOR_TYPES

_CHANNELS, _PAIR_CHANNELS = 3, 6
_NUMBERS = {_CHANNELS: 'three', _PAIR_CHANNELS: 'six'}
_ASSUMED_WH = (640, 640)
_CHANNEL_NAMES = ('num_channels', 'channels', 'channel', 'c')
_HABITS = (('pytorch', TensorLayout.NCHW), ('paddle', TensorLayout.NCHW), ('tf2onnx', TensorLayout.NHWC))


@dataclass(frozen=True)
class InputFinding:
    """The inputs of a model, each fact with where it came from.

    Attributes:
        image: the tensor that takes the image.
        layout: of its axes.
        wh: (width, height) in px that preprocessing makes.
        values: the inputs beside the image.
        size_is_assumed: nothing says the size.
        embeddings: what the input for text embeddings is fed, where there is one and `feed` has been called.
        role: of the image: 'left' beside `right`; 'pair' for one tensor of both images; else 'image'.
        right: the tensor that takes the right image of a stereo pair, like `image` in all but its name.
    """

    image: Sourced[TensorSpec]
    layout: Sourced[TensorLayout]
    wh: Sourced[tuple[int, int]]
    values: tuple[ValueFinding, ...]
    size_is_assumed: bool = False
    embeddings: Sourced[FixedArray] | None = None
    role: str = 'image'
    right: Sourced[TensorSpec] | None = None

    def image_input(self, preprocess: PreprocessSpec, convention: str = '') -> ImageInput:
        """The image input, of a pair the left one, once it is known how an image becomes its tensor."""
        spec, layout, wh = self.image.value, self.layout.value, self.wh.value
        return ImageInput(spec, layout, wh, preprocess, self.role, convention)

    def image_inputs(self, preprocess: PreprocessSpec, convention: str = '') -> tuple[ImageInput, ...]:
        """All image inputs; see `image_input`."""
        first = self.image_input(preprocess, convention)
        return (first,) if self.right is None else (first, replace(first, tensor=self.right.value, role='right'))

    def value_inputs(self) -> tuple[ValueInput, ...]:
        """The inputs that do not take an image."""
        fixed = {} if self.embeddings is None else {ValueRole.TEXT_EMBEDDINGS: self.embeddings.value}
        return tuple(ValueInput(item.value, role, fixed.get(role)) for role, item in self.values)

    @property
    def takes_embeddings(self) -> TensorSpec | None:
        """The input that takes a text embedding per class, or None."""
        return next((item.value for role, item in self.values if role is ValueRole.TEXT_EMBEDDINGS), None)

    def feed(self, embeddings: Sourced[FixedArray]) -> InputFinding:
        """The same inputs with what the one for text embeddings is fed, and its open axes as these make them."""

        def closed(spec: TensorSpec) -> TensorSpec:
            return replace(spec, shape=(*spec.shape[:-2], *embeddings.value.values.shape))

        values = tuple(
            (role, replace(item, value=closed(item.value)) if role is ValueRole.TEXT_EMBEDDINGS else item)
            for role, item in self.values
        )
        return replace(self, values=values, embeddings=embeddings)

    @property
    def scales_boxes(self) -> bool:
        """True when the graph is told the image's size, so that its boxes are in px of it."""
        scaling = (ValueRole.IMAGE_SIZE, ValueRole.IMAGE_SHAPE, ValueRole.SCALE_FACTOR)
        return any(role in scaling for role, _ in self.values)

    def sources(self) -> dict[str, str]:
        """Field of the card -> where it came from."""
        found = {'image_input': self.image.source, 'layout': self.layout.source, 'input_wh': self.wh.source}
        if self.right is not None:
            found |= {'image_input.left': self.image.source, 'image_input.right': self.right.source}
        if self.embeddings is not None:
            found['vocabulary.text_embeddings'] = self.embeddings.source
        return found | {f'value_inputs.{role.value}': item.source for role, item in self.values}


def find_inputs(
    file: ModelFile,
    values: CardValues,
    exporter: ExporterFacts,
    problems: Problems,
    *,
    image: Sourced[TensorSpec] | None = None,
    role: str = 'image',
    right: Sourced[TensorSpec] | None = None,
    takes_depth: bool = False,
) -> InputFinding:
    """Find the image input, its layout and size, and the inputs beside it.

    Args:
        file: the model's tensors and metadata.
        values: what the cards say.
        exporter: what the exporter says.
        problems: takes what is wrong; the finding then has a stand-in, so that the rest can be looked at too.
        image: the input that takes the image, where that is known; None looks for it.
        role: of that input, as of `InputFinding`; 'pair' has six channels.
        right: the input that takes the right image.
        takes_depth: whether a depth image may be fed beside it.

    Raises:
        ModelError: no input takes an image, so that nothing more can be said.
    """
    found = image or _image(file, values)
    spec, expected = found.value, _PAIR_CHANNELS if role == 'pair' else _CHANNELS
    layout = Sourced(TensorLayout.NCHW, 'stand-in')
    with problems:
        layout = _layout(file, spec, values, expected)
    channels = spec.shape[-3 if layout.value is TensorLayout.NCHW else -1]
    with problems:
        if channels not in (expected, None):
            raise ModelError(
                f'{file.path}: unsupported layout: the image input {spec.describe()} has {channels} channels '
                f'as {layout.value}; expected {expected} (colour)'
            )
    with problems:
        if len(spec.shape) == 4 and spec.shape[0] not in (1, None):
            raise ModelError(
                f'{file.path}: the image input {spec.describe()} takes {spec.shape[0]} images at once; '
                'expected 1 or a dynamic batch, so export it that way'
            )
    wh: Sourced[tuple[int, int]] | None = None
    with problems:
        wh = _input_wh(file, spec, layout.value, values, exporter)
    others: tuple[ValueFinding, ...] = ()
    with problems:
        images = {spec.name} | (set() if right is None else {right.value.name})
        others = find_value_inputs(file, images, values, takes_depth=takes_depth)
    size = wh or Sourced(_ASSUMED_WH, '')
    return InputFinding(found, layout, size, others, wh is None, role=role, right=right)


def _image(file: ModelFile, values: CardValues) -> Sourced[TensorSpec]:
    """The input that takes the image."""
    if 'input' in values:
        spec = _named(file, values, 'input')
        source = values['input'].source
    else:
        candidates = [spec for spec in file.inputs if len(spec.shape) == 4]
        colour = [spec for spec in candidates if _CHANNELS in (spec.shape[1], spec.shape[3])]
        candidates = colour if len(colour) == 1 else candidates
        candidates = candidates or [spec for spec in file.inputs if _is_single_image(spec)]
        if not candidates:
            raise ModelError(
                f'{file.path}: no input takes an image: expected one of rank 4, such as [1, 3, 640, 640], or of rank 3 '
                f'with 3 channels. Found:{file.describe()}\n  Export the model with a batch axis'
            )
        if len(candidates) > 1:
            raise file.unclear(
                f'{len(candidates)} inputs could take the image',
                *(f'input: {spec.name}' for spec in candidates),
            )
        spec = candidates[0]
        source = f'the only input of rank {len(spec.shape)}'
    if len(spec.shape) != 4 and not _is_single_image(spec):
        raise ModelError(
            f'{file.path}: the input {spec.describe()} takes no image; expected rank 4, or rank 3 with 3 channels'
        )
    if spec.dtype not in IMAGE_DTYPES:
        raise ModelError(
            f'{file.path}: the image input {spec.describe()} has an unsupported element type; '
            f'expected one of {", ".join(IMAGE_DTYPES)}'
        )
    return Sourced(spec, source)


def _is_single_image(spec: TensorSpec) -> bool:
    """True for an image without a batch axis, as torchvision's detectors take it."""
    if len(spec.shape) != 3 or spec.dtype not in IMAGE_DTYPES:
        return False
    return 3 in (spec.shape[0], spec.shape[2]) or bool(_channel_axis(spec))


def _channel_axis(spec: TensorSpec) -> str:
    """The layout that the file's own names of the axes give, '' where they say nothing."""
    named = [name.lower().rpartition('.')[2] for name in spec.axes]
    for layout, axis in ((TensorLayout.NCHW, -3), (TensorLayout.NHWC, -1)):
        if len(named) >= 3 and named[axis] in _CHANNEL_NAMES:
            return layout.value
    if len(named) >= 3:
        for layout, axes in ((TensorLayout.NCHW, (-2, -1)), (TensorLayout.NHWC, (-3, -2))):
            if all(named[axis].startswith(word) for axis, word in zip(axes, ('h', 'w'), strict=True)):
                return layout.value
    return ''


def _layout(file: ModelFile, image: TensorSpec, values: CardValues, channels: int) -> Sourced[TensorLayout]:
    """'NCHW' or 'NHWC', by the axis as long as there are channels, else by the axes' names or the exporter's habit."""
    first, last = image.shape[-3], image.shape[-1]
    fits = [layout for layout, size in ((TensorLayout.NCHW, first), (TensorLayout.NHWC, last)) if size == channels]
    if 'layout' in values:
        layout = TensorLayout(values['layout'].value)
        if fits and layout not in fits:
            raise ModelError(
                f'{values["layout"].source}: layout: got {layout}, but the input {image.describe()} of '
                f'{file.path.name} has its {_NUMBERS[channels]} channels as {fits[0]}'
            )
        return Sourced(layout, values['layout'].source)
    if len(fits) == 1:
        return Sourced(fits[0], f'shape of {image.name}')
    named = _channel_axis(image)
    if named:
        return Sourced(TensorLayout(named), f'names of the axes of {image.name}')
    if fits or None in (first, last):
        habit = next((layout for word, layout in _HABITS if word in file.producer.lower()), None)
        if habit is not None:
            return Sourced(habit, f'habit of the exporter {file.producer}')
        raise file.unclear(
            f'the layout of the image input {image.describe()} is not clear',
            'layout: NCHW',
            'layout: NHWC',
        )
    raise ModelError(
        f'{file.path}: unsupported layout: the image input {image.describe()} has no axis with {channels} '
        'channels in second (NCHW) or last (NHWC) place; expected a colour image'
    )


def _input_wh(
    file: ModelFile,
    image: TensorSpec,
    layout: TensorLayout,
    values: CardValues,
    exporter: ExporterFacts,
) -> Sourced[tuple[int, int]] | None:
    """(width, height) in px that preprocessing makes; None where nothing says it."""
    height, width = spatial_dims(image.shape, layout)
    if 'input_size' in values:
        wanted, source = values['input_size'].value, values['input_size'].source
        if (width or wanted[0], height or wanted[1]) != wanted:
            raise ModelError(
                f'{source}: input_size: got {list(wanted)} (width, height), but the input '
                f'{image.describe()} of {file.path.name} is fixed; remove the line or export another size'
            )
    elif width is not None and height is not None:
        return Sourced((width, height), f'shape of {image.name}')
    elif exporter.input_wh is not None:
        wanted, source = exporter.input_wh, 'metadata "imgsz"'
        wanted = (width or wanted[0], height or wanted[1])
    else:
        wanted = _wh_by_rows(file, (width, height))
        if wanted is None:
            return None
        source = 'number of rows of the output'
    if exporter.stride and any(size % exporter.stride for size in wanted):
        raise ModelError(
            f'{source}: input_size: got {list(wanted)} (width, height), expected multiples of the '
            f'stride {exporter.stride} that the metadata of {file.path.name} states'
        )
    return Sourced(wanted, source)


def _wh_by_rows(file: ModelFile, fixed: tuple[int | None, int | None]) -> tuple[int, int] | None:
    """The square size whose grid has as many cells as an output has rows, for an input that leaves its size open."""
    if any(fixed):
        return None
    counts = {size for spec in file.outputs if len(spec.shape) == 3 for size in spec.shape[1:] if size}
    for side in range(128, 1537, 32):
        cells = cell_count((side, side), STRIDES)
        if counts & {cells, 3 * cells}:
            return side, side
    return None


def _named(file: ModelFile, values: CardValues, key: str) -> TensorSpec:
    """The input that a card names."""
    name = values[key].value
    for spec in file.inputs:
        if spec.name == name:
            return spec
    raise ModelError(
        f'{values[key].source}: {key}: {file.path.name} has no input {name!r}; '
        f'its inputs are: {", ".join(spec.name for spec in file.inputs)}'
    )
