# SPDX-License-Identifier: Apache-2.0
"""Tensors between stages: arrays by reference inside a process, `TensorList` on the wire.

Besides a model's own tensors a frame carries what belongs to it: which model card prepared it, auxiliary tensors (the
letterbox) and the stage timings. On the wire they are further small tensors whose names begin with an underscore, which
a stage of another vendor ignores.
"""

from __future__ import annotations

import importlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.models import CardId
from isaac_inference.ros.messages.image import byte_array, byte_view
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

PACKAGE = 'isaac_ros_tensor_list_interfaces'
# The codes of Tensor.data_type, as the comments of its .msg file number them; it has none for float16 and bool.
DATA_TYPES = {
    'int8': 1,
    'uint8': 2,
    'int16': 3,
    'uint16': 4,
    'int32': 5,
    'uint32': 6,
    'int64': 7,
    'uint64': 8,
    'float32': 9,
    'float64': 10,
}
_DTYPES = {code: np.dtype(name) for name, code in DATA_TYPES.items()}
_WIDER: dict[str, np.dtype] = {'float16': np.dtype(np.float32), 'bool': np.dtype(np.uint8)}
_AUXILIARY, _TIMING, _CARD = '_aux/', '_timing/', '_card'

KEYPOINTS_TOPIC = 'keypoints'
"""The topic of the keypoints, and the name of their one tensor."""
SOURCE_SIZE = 'source_size'
"""Auxiliary tensor beside the keypoints: (2,) int32, width and height in px of the image that they were found in."""
RECTIFIED = 'rectified'
"""Auxiliary tensor of a frame whose pixels are those of the rectified image: (4,) float64, its fx, fy, cx and cy in px.
It is also beside the keypoints of such a frame."""
PICTURE_MARK = 'picture'
"""Auxiliary tensor of a frame: (1,) uint32, as of `picture_mark`."""
_MARK_SAMPLES = 1024


@dataclass(frozen=True, eq=False)
class TensorFrame:
    """One frame's tensors.

    The arrays belong to the frame: its maker allocates new ones, or takes them from a ring of buffers, and never
    writes to them again while anyone holds them; neither does anyone who receives them. A tensor may lie on a GPU:
    then it is no NumPy array but an object with `__cuda_array_interface__`, `shape` and `dtype`, whose content is there
    for work that is enqueued after its stream's, and of which `np.asarray` makes a copy in host memory.

    `card` says which model card prepared the frame; None for a frame of another vendor's stage, which does not say.
    """

    header: Header
    tensors: Mapping[str, Any]
    auxiliary: Mapping[str, np.ndarray] = field(default_factory=dict)
    timings: tuple[StageTiming, ...] = ()
    card: CardId | None = None

    def check_card(self, expected: CardId) -> None:
        """Raises FrameError 'other_model' for a frame that another card prepared."""
        if self.card is not None and self.card.hash != expected.hash:
            raise FrameError(
                'other_model',
                f'the frame was prepared for model {self.card}, this node has {expected}; give all nodes of the chain '
                'the same model and model_card',
            )


def picture_mark(data: np.ndarray) -> np.ndarray:
    """A mark that tells pictures apart: a checksum of some 1000 of an image's bytes, evenly spread.

    Args:
        data: (n,) uint8, the bytes as they arrived.

    Returns:
        (1,) uint32. The same for the same picture; different for nearly all others, which is what it is good for.
    """
    step = max(1, data.size // _MARK_SAMPLES) | 1  # odd, so that it meets all channels and columns
    return np.array([zlib.crc32(data[::step].tobytes())], np.uint32)


def is_on_device(array: Any) -> bool:
    """Whether a tensor lies on a GPU."""
    return hasattr(type(array), '__cuda_array_interface__')  # the object's own would lend it out


def to_host(frame: TensorFrame) -> TensorFrame:
    """The frame with all its tensors in host memory; the frame itself where they are there already."""
    if not any(map(is_on_device, frame.tensors.values())):
        return frame
    return replace(frame, tensors={name: np.asarray(array) for name, array in frame.tensors.items()})


def to_tensor_list(frame: TensorFrame) -> Any:
    """The TensorList message: one copy of each tensor's bytes, from wherever they are."""
    tensors = [_to_message(name, array) for name, array in _wire_arrays(to_host(frame))]
    return _messages().TensorList(header=frame.header, tensors=tensors)


def from_tensor_list(message: Any) -> TensorFrame:
    """Views of a received message's tensors.

    Raises:
        FrameError: 'bad_tensor' where a tensor's shape, type and bytes don't fit together.
    """
    tensors: dict[str, np.ndarray] = {}
    auxiliary: dict[str, np.ndarray] = {}
    timings: list[StageTiming] = []
    card: CardId | None = None
    for tensor in message.tensors:
        array = _from_message(tensor)
        if tensor.name.startswith(_TIMING):
            timings.append(StageTiming.from_array(tensor.name[len(_TIMING) :], array))
        elif tensor.name == _CARD:
            card = _card_of(array)
        elif tensor.name.startswith(_AUXILIARY):
            auxiliary[tensor.name[len(_AUXILIARY) :]] = array
        else:
            tensors[tensor.name] = array
    return TensorFrame(message.header, tensors, auxiliary, tuple(timings), card)


def _wire_arrays(frame: TensorFrame) -> Iterator[tuple[str, np.ndarray]]:
    yield from frame.tensors.items()
    for name, array in frame.auxiliary.items():
        yield _AUXILIARY + name, array
    for timing in frame.timings:
        yield _TIMING + timing.stage, timing.to_array()
    if frame.card is not None:
        yield _CARD, np.frombuffer(f'{frame.card.hash} {frame.card.name}'.encode(), np.uint8)


def _card_of(array: np.ndarray) -> CardId:
    """The card that a frame's bytes name."""
    try:
        digits, separator, name = array.tobytes().decode().partition(' ')
    except UnicodeDecodeError:
        digits, separator, name = '', '', ''
    if not separator or array.dtype != np.uint8:
        raise FrameError(
            'bad_tensor',
            f'tensor {_CARD}: got {array.dtype} {list(array.shape)}, expected the UTF-8 bytes of "<hash> <model name>" '
            'as uint8; look at the node that publishes it',
        )
    return CardId(digits, name)


def _to_message(name: str, array: np.ndarray) -> Any:
    dtype = _WIDER.get(array.dtype.name, array.dtype.newbyteorder('='))
    if dtype.name not in DATA_TYPES:
        raise FrameError(
            'bad_tensor',
            f'tensor {name}: TensorList has no data_type for {dtype}, expected one of '
            f'{", ".join(DATA_TYPES)}; cast it before it is published',
        )
    messages = _messages()
    tensor = messages.Tensor(name=name, data_type=DATA_TYPES[dtype.name], strides=_dense_strides(array.shape, dtype))
    tensor.shape = messages.TensorShape(rank=array.ndim, dims=list(array.shape))
    tensor.data = byte_array(array.astype(dtype, copy=False))
    return tensor


def _from_message(tensor: Any) -> np.ndarray:
    dtype, shape = _DTYPES.get(tensor.data_type), tuple(int(size) for size in tensor.shape.dims)
    data = byte_view(tensor.data)
    if dtype is None:
        raise FrameError(
            'bad_tensor',
            f'tensor {tensor.name}: data_type {tensor.data_type} is unknown, expected one '
            f'of {sorted(_DTYPES)}; look at the node that publishes it',
        )
    size, dense = math.prod(shape) * dtype.itemsize, _dense_strides(shape, dtype)
    if data.size != size or list(tensor.strides) not in (dense, []):
        raise FrameError(
            'bad_tensor',
            f'tensor {tensor.name}: {data.size} bytes with strides {list(tensor.strides)} '
            f'for shape {list(shape)} of {dtype}, expected {size} bytes '
            f'with strides {dense}; look at the node that publishes it',
        )
    return data.view(dtype).reshape(shape)


def _dense_strides(shape: tuple[int, ...], dtype: np.dtype) -> list[int]:
    """Bytes from one index to the next on each axis; NumPy's own may differ on axes of length 1."""
    return [dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _messages() -> Any:
    return importlib.import_module(f'{PACKAGE}.msg')


def _message_type() -> type | None:
    try:
        return _messages().TensorList  # type: ignore[no-any-return]
    except ImportError:
        return None


TENSORS: TypeAdapter[TensorFrame] = TypeAdapter(
    'TensorList', _message_type(), to_tensor_list, from_tensor_list, to_host
)
