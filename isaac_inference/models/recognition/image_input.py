# SPDX-License-Identifier: Apache-2.0
"""Which of a model's inputs takes the image, in which layout and size, and which one takes the size."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import spatial_dims
from isaac_inference.models.card.card_file import CardValues
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.onnx.unclear import unclear

IMAGE_DTYPES = ('float32', 'float16', 'uint8')


@dataclass(frozen=True)
class InputFinding:
    """The inputs of a model and, for people, where each fact came from."""

    image: TensorSpec
    layout: str
    input_wh: tuple[int, int]
    size_input: TensorSpec | None
    sources: dict[str, str]


def find_inputs(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> InputFinding:
    """Find the image input, its layout and size, and the size input; raises ModelError if unclear."""
    sources: dict[str, str] = {}
    image = _image(file, values, sources)
    layout = _layout(file, image, values, sources)
    channels = image.shape[1] if layout == 'NCHW' else image.shape[3]
    if channels not in (3, None):
        raise ModelError(
            f'{file.path}: unsupported layout: the image input {image.describe()} has {channels} channels '
            f'as {layout}; expected 3 (colour)'
        )
    if image.shape[0] not in (1, None):
        raise ModelError(
            f'{file.path}: the image input {image.describe()} takes {image.shape[0]} images at once; '
            'expected 1 or a dynamic batch, so export it that way'
        )
    input_wh = _input_wh(file, image, layout, values, exporter, sources)
    return InputFinding(image, layout, input_wh, _size_input(file, image, values, sources), sources)


def _image(file: ModelFile, values: CardValues, sources: dict[str, str]) -> TensorSpec:
    """The input that takes the image."""
    if 'input' in values:
        spec = _named(file, values, 'input')
        sources['image_input'] = values['input'].source
    else:
        candidates = [spec for spec in file.inputs if len(spec.shape) == 4]
        if not candidates:
            raise ModelError(
                f'{file.path}: no input takes an image: expected one of rank 4, such as [1, 3, 640, 640]. '
                f'Found:{file.describe()}\n  Export the model with a batch axis'
            )
        if len(candidates) > 1:
            raise unclear(
                file,
                f'{len(candidates)} inputs could take the image',
                *(f'input: {spec.name}' for spec in candidates),
            )
        spec = candidates[0]
        sources['image_input'] = 'the only input of rank 4'
    if len(spec.shape) != 4:
        raise ModelError(f'{file.path}: the input {spec.describe()} takes no image; expected rank 4')
    if spec.dtype not in IMAGE_DTYPES:
        raise ModelError(
            f'{file.path}: the image input {spec.describe()} has an unsupported element type; '
            f'expected one of {", ".join(IMAGE_DTYPES)}'
        )
    return spec


def _layout(file: ModelFile, image: TensorSpec, values: CardValues, sources: dict[str, str]) -> str:
    """'NCHW' or 'NHWC', by the axis that has three entries."""
    fits = [layout for layout, axis in (('NCHW', 1), ('NHWC', 3)) if image.shape[axis] == 3]
    if 'layout' in values:
        layout = str(values['layout'].value)
        if fits and layout not in fits:
            raise ModelError(
                f'{values["layout"].source}: layout: got {layout}, but the input {image.describe()} of '
                f'{file.path.name} has its three channels as {fits[0]}'
            )
        sources['layout'] = values['layout'].source
        return layout
    if len(fits) == 1:
        sources['layout'] = f'shape of {image.name}'
        return fits[0]
    if fits or None in (image.shape[1], image.shape[3]):
        raise unclear(
            file,
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
    layout: str,
    values: CardValues,
    exporter: ExporterFacts,
    sources: dict[str, str],
) -> tuple[int, int]:
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
        sources['input_wh'] = f'shape of {image.name}'
        return (width, height)
    elif exporter.input_wh is not None:
        wanted, source = exporter.input_wh, 'metadata "imgsz"'
        wanted = (width or wanted[0], height or wanted[1])
    else:
        raise unclear(
            file,
            f'the image input {image.describe()} takes any size, and nothing says which to use',
            'input_size: [640, 640]  # width, height in px',
        )
    if exporter.stride and any(size % exporter.stride for size in wanted):
        raise ModelError(
            f'{source}: input_size: got {list(wanted)} (width, height), expected multiples of the '
            f'stride {exporter.stride} that the metadata of {file.path.name} states'
        )
    sources['input_wh'] = source
    return wanted


def _size_input(file: ModelFile, image: TensorSpec, values: CardValues, sources: dict[str, str]) -> TensorSpec | None:
    """The input that takes (width, height) of the frame which boxes shall refer to; any other input is
    refused.
    """
    others = [spec for spec in file.inputs if spec.name != image.name]
    if 'size_input' in values:
        spec = _named(file, values, 'size_input')
        sources['size_input'] = values['size_input'].source
    elif len(others) == 1 and _takes_size(others[0]):
        spec = others[0]
        sources['size_input'] = f'shape of {spec.name}'
    elif others:
        names = ', '.join(spec.describe() for spec in others)
        raise ModelError(
            f'{file.path}: besides the image the model wants {names}, which is not supported; expected '
            'nothing else, or one size input such as orig_target_sizes: int64 [N, 2]. Export it without'
        )
    else:
        return None
    if spec is image or len(others) > 1 or len(spec.shape) != 2 or spec.shape[1] not in (2, None):
        raise ModelError(
            f'{file.path}: the input {spec.describe()} can not be the size input; expected [N, 2] and no further input'
        )
    return spec


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
