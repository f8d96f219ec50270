# SPDX-License-Identifier: Apache-2.0
"""Which of a model's inputs takes the image, in which layout and size, and which one takes the size."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.errors import ModelError
from isaac_inference.models.card.inputs import ImageInput, PreprocessSpec, ValueInput, ValueRole, spatial_dims
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.ops.image.options import TensorLayout

IMAGE_DTYPES = ('float32', 'float16', 'uint8')


@dataclass(frozen=True)
class InputFinding:
    """The inputs of a model, each fact with where it came from."""

    image: Sourced[TensorSpec]
    layout: Sourced[TensorLayout]
    wh: Sourced[tuple[int, int]]
    size: Sourced[TensorSpec] | None

    def image_input(self, preprocess: PreprocessSpec) -> ImageInput:
        """The image input, once it is known how an image becomes its tensor."""
        return ImageInput(self.image.value, self.layout.value, self.wh.value, preprocess)

    def value_inputs(self) -> tuple[ValueInput, ...]:
        """The inputs that do not take an image."""
        return () if self.size is None else (ValueInput(self.size.value, ValueRole.IMAGE_SIZE),)

    def sources(self) -> dict[str, str]:
        """Field of the card -> where it came from."""
        found = {'image_input': self.image.source, 'layout': self.layout.source, 'input_wh': self.wh.source}
        return found if self.size is None else {**found, 'size_input': self.size.source}


def find_inputs(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> InputFinding:
    """Find the image input, its layout and size, and the size input; raises ModelError if unclear."""
    found = _image(file, values)
    image = found.value
    layout = _layout(file, image, values)
    channels = image.shape[1] if layout.value is TensorLayout.NCHW else image.shape[3]
    if channels not in (3, None):
        raise ModelError(
            f'{file.path}: unsupported layout: the image input {image.describe()} has {channels} channels '
            f'as {layout.value}; expected 3 (colour)'
        )
    if image.shape[0] not in (1, None):
        raise ModelError(
            f'{file.path}: the image input {image.describe()} takes {image.shape[0]} images at once; '
            'expected 1 or a dynamic batch, so export it that way'
        )
    wh = _input_wh(file, image, layout.value, values, exporter)
    return InputFinding(found, layout, wh, _size_input(file, image, values))


def _image(file: ModelFile, values: CardValues) -> Sourced[TensorSpec]:
    """The input that takes the image."""
    if 'input' in values:
        spec = _named(file, values, 'input')
        source = values['input'].source
    else:
        candidates = [spec for spec in file.inputs if len(spec.shape) == 4]
        if not candidates:
            raise ModelError(
                f'{file.path}: no input takes an image: expected one of rank 4, such as [1, 3, 640, 640]. '
                f'Found:{file.describe()}\n  Export the model with a batch axis'
            )
        if len(candidates) > 1:
            raise file.unclear(
                f'{len(candidates)} inputs could take the image',
                *(f'input: {spec.name}' for spec in candidates),
            )
        spec = candidates[0]
        source = 'the only input of rank 4'
    if len(spec.shape) != 4:
        raise ModelError(f'{file.path}: the input {spec.describe()} takes no image; expected rank 4')
    if spec.dtype not in IMAGE_DTYPES:
        raise ModelError(
            f'{file.path}: the image input {spec.describe()} has an unsupported element type; '
            f'expected one of {", ".join(IMAGE_DTYPES)}'
        )
    return Sourced(spec, source)


def _layout(file: ModelFile, image: TensorSpec, values: CardValues) -> Sourced[TensorLayout]:
    """'NCHW' or 'NHWC', by the axis that has three entries."""
    fits = [layout for layout, axis in ((TensorLayout.NCHW, 1), (TensorLayout.NHWC, 3)) if image.shape[axis] == 3]
    if 'layout' in values:
        layout = TensorLayout(values['layout'].value)
        if fits and layout not in fits:
            raise ModelError(
                f'{values["layout"].source}: layout: got {layout}, but the input {image.describe()} of '
                f'{file.path.name} has its three channels as {fits[0]}'
            )
        return Sourced(layout, values['layout'].source)
    if len(fits) == 1:
        return Sourced(fits[0], f'shape of {image.name}')
    if fits or None in (image.shape[1], image.shape[3]):
        raise file.unclear(
            f'the layout of the image input {image.describe()} is not clear',
            'layout: NCHW',
            'layout: NHWC',
        )
    raise ModelError(
        f'{file.path}: unsupported layout: the image input {image.describe()} has no axis with 3 channels '
        'in second (NCHW) or last (NHWC) place; expected a colour image'
    )


def _input_wh(
    file: ModelFile,
    image: TensorSpec,
    layout: TensorLayout,
    values: CardValues,
    exporter: ExporterFacts,
) -> Sourced[tuple[int, int]]:
    """(width, height) in px that preprocessing makes."""
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
        raise file.unclear(
            f'the image input {image.describe()} takes any size, and nothing says which to use',
            'input_size: [640, 640]  # width, height in px',
        )
    if exporter.stride and any(size % exporter.stride for size in wanted):
        raise ModelError(
            f'{source}: input_size: got {list(wanted)} (width, height), expected multiples of the '
            f'stride {exporter.stride} that the metadata of {file.path.name} states'
        )
    return Sourced(wanted, source)


def _size_input(file: ModelFile, image: TensorSpec, values: CardValues) -> Sourced[TensorSpec] | None:
    """The input that takes (width, height) of the frame that boxes refer to; any other input is
    refused.
    """
    others = [spec for spec in file.inputs if spec.name != image.name]
    if 'size_input' in values:
        spec = _named(file, values, 'size_input')
        source = values['size_input'].source
    elif len(others) == 1 and _takes_size(others[0]):
        spec = others[0]
        source = f'shape of {spec.name}'
    elif others:
        names = ', '.join(spec.describe() for spec in others)
        raise ModelError(
            f'{file.path}: besides the image the model needs {names}, which is not supported; expected '
            'nothing else, or one size input such as orig_target_sizes: int64 [N, 2]. Export it without'
        )
    else:
        return None
    if spec is image or len(others) > 1 or len(spec.shape) != 2 or spec.shape[1] not in (2, None):
        raise ModelError(
            f'{file.path}: the input {spec.describe()} cannot be the size input; expected [N, 2] and no further input'
        )
    return Sourced(spec, source)


def _takes_size(spec: TensorSpec) -> bool:
    """True for a tensor like RT-DETR's `orig_target_sizes`."""
    if len(spec.shape) != 2 or spec.shape[1] not in (2, None):
        return False
    return spec.dtype in ('int32', 'int64') or 'target_size' in spec.name


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
