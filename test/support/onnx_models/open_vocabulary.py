# SPDX-License-Identifier: Apache-2.0
"""An open-vocabulary detector in small, as YOLO-World is exported, and a text encoder and tokenizer for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from support.onnx_models.graph import WH, Tiny, known_detections

SIZE = 4
"""How many numbers an embedding has."""
WORDS: Mapping[str, tuple[float, ...]] = {
    'cup': (2.0, 0.0, 0.0, 0.0),
    'mug': (2.0, 0.5, 0.0, 0.0),
    'can': (0.0, 2.0, 0.0, 0.0),
    'box': (0.0, 0.0, 2.0, 0.0),
    'road': (0.0, 0.0, 0.0, 2.0),
}
"""What the encoder makes of a word; of any other it makes zeros."""
FOUND = ('cup', 'can', 'box')
"""What is at the places of `known_detections` on a white image, in their order."""
SCORE = 1 / (1 + np.exp(-6))
"""Of a class whose embedding is the object's own; of a class that has nothing of it 1 - SCORE."""
PADDING_ROW = 9.0
"""Each of the numbers that the encoder makes of a token of padding."""
_UNKNOWN, _PADDING = '[UNK]', '[PAD]'


def embeddings_of(words: Sequence[str]) -> np.ndarray:
    """(C, SIZE) float32 of length 1, one row per word."""
    rows = np.array([WORDS[word] for word in words], np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def write_open_vocabulary(
    path: Path,
    *,
    classes: int | None = None,
    size: int | None = SIZE,
    rank: int = 3,
    name: str = 'txt_feats',
    batch: int | str = 1,
    input_wh: tuple[int, int] = WH,
) -> Path:
    """Write a detector whose scores are sigmoid(12 * brightness * (what is there . embedding of the class) - 6).

    Args:
        path: where to; the folder must exist.
        classes: how many the file is fixed to; None leaves them open.
        size: how many numbers of an embedding the file declares; None leaves them open.
        rank: of the input for embeddings: 3 for [1, C, D], 2 for [C, D].
        name: of that input.
        batch: 1, or the name of an open axis, of the image alone.
        input_wh: (width, height) of the image input in px.
    """
    tiny = Tiny(classes or 0, input_wh, [], [], {})
    width, height = input_wh
    cells = sum(width // stride * (height // stride) for stride in (8, 16, 32))
    boxes, there = np.zeros((1, 4, cells), np.float32), np.zeros((1, cells, SIZE), np.float32)
    for word, known in zip(FOUND, known_detections(3, input_wh), strict=True):
        x0, y0, x1, y1 = known.xyxy
        cell = int((y0 + y1) // 16) * (width // 8) + int((x0 + x1) // 16)
        boxes[0, :, cell] = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
        there[0, cell] = embeddings_of([word])[0]
    brightness = tiny.node('ReduceMean', 'images', axes=[2, 3], keepdims=1)
    brightness = tiny.node('ReduceMean', brightness, axes=[1], keepdims=0)  # [N, 1, 1]
    seen = tiny.node('Mul', tiny.constant(there), tiny.node('Mul', brightness, tiny.constant(12.0)))
    alike = tiny.node('MatMul', seen, tiny.node('Transpose', name, perm=[1, 0] if rank == 2 else [0, 2, 1]))
    scores = tiny.node('Sigmoid', tiny.node('Sub', alike, tiny.constant(6.0)))
    scores = tiny.node('Transpose', scores, perm=[0, 2, 1])
    places = tiny.node('Add', tiny.constant(boxes), tiny.node('Mul', brightness, tiny.constant(0.0)))
    tiny.node('Concat', places, scores, name='output0', axis=1)
    count: int | str = classes or 'classes'
    taken = [count, size or 'size']
    inputs = [
        helper.make_tensor_value_info('images', TensorProto.FLOAT, [batch, 3, height, width]),
        helper.make_tensor_value_info(name, TensorProto.FLOAT, taken if rank == 2 else [1, *taken]),
    ]
    shape = [batch, 4 + classes if classes else 'channels', cells]
    outputs = [helper.make_tensor_value_info('output0', TensorProto.FLOAT, shape)]
    _save(path, tiny, inputs, outputs)
    return path


def write_tokenizer(path: Path, *, pads: bool = False) -> Path:
    """Write the tokenizer.json of one token per word, with `tokenizers`.

    Args:
        path: where to.
        pads: it pads to 16 tokens and cuts after 2 of its own accord, as those of sentence encoders do.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = [_PADDING, _UNKNOWN, 'a', 'photo', 'of', *WORDS]
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=_UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if pads:
        made.enable_padding(length=16, pad_id=0, pad_token=_PADDING)
        made.enable_truncation(2)
    made.save(str(path))
    return path


def write_encoder(
    path: Path, *, pooled: str = 'text_embeds', length: int | None = None, mask: bool = True, types: bool = False
) -> Path:
    """Write a text encoder that looks its tokens up in `WORDS`; padding is `PADDING_ROW`, so that it shows.

    Args:
        path: where to.
        pooled: name of an output [N, D], the sum over the tokens that count; '' for none. The output
            last_hidden_state [N, length, D] is always there.
        length: how many tokens it takes; None for any number.
        mask: it has an attention_mask; without one it takes padding for words.
        types: it has token_type_ids.
    """
    tiny = Tiny(0, WH, [], [], {})
    nothing = [0.0] * SIZE
    table = [[PADDING_ROW] * SIZE, nothing, nothing, nothing, nothing, *WORDS.values()]
    hidden = tiny.node('Gather', tiny.constant(table), 'input_ids', axis=0)
    if types:
        kinds = tiny.node('Cast', 'token_type_ids', to=TensorProto.FLOAT)
        hidden = tiny.node('Add', hidden, tiny.node('Unsqueeze', kinds, tiny.constant([2], np.int64)))
    tiny.node('Identity', hidden, name='last_hidden_state')
    counted = hidden
    if mask:
        weights = tiny.node('Cast', 'attention_mask', to=TensorProto.FLOAT)
        counted = tiny.node('Mul', hidden, tiny.node('Unsqueeze', weights, tiny.constant([2], np.int64)))
    names = ['input_ids', *['attention_mask'] * mask, *['token_type_ids'] * types]
    axes = ['texts', length or 'length']
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in names]
    outputs = [helper.make_tensor_value_info('last_hidden_state', TensorProto.FLOAT, [*axes, SIZE])]
    if pooled:
        tiny.node('ReduceSum', counted, tiny.constant([1], np.int64), name=pooled, keepdims=0)
        outputs.append(helper.make_tensor_value_info(pooled, TensorProto.FLOAT, ['texts', SIZE]))
    _save(path, tiny, inputs, outputs)
    return path


def _save(path: Path, tiny: Tiny, inputs: Sequence[object], outputs: Sequence[object]) -> None:
    graph = helper.make_graph(tiny.nodes, 'open_vocabulary', inputs, outputs, tiny.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name='tiny')
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
