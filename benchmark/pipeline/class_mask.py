# SPDX-License-Identifier: Apache-2.0
"""What a 1080p class mask costs on one core: from the network's scores to a class for each source pixel.

Ours is the package's stage, nearest and bilinear, with and without confidence. The other way is the plain one of NumPy
and OpenCV: `argmax` over the classes and `cv2.resize`, for bilinear `cv2.resize` of all scores and then `argmax`. Both
are called in turn. Then, where the models are, real networks with ONNX Runtime on one thread: the package's whole way
(preprocess, engine, mask) against the bare session that is fed with tensors that are there already.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, alternate, one_core
from benchmark.support.segmentation_like import FORMS, OUTPUT, Form, card_of, scores_of
from isaac_inference.engines import create_engine
from isaac_inference.errors import ModelError
from isaac_inference.models import ModelCard, Task, read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.segmentation.segmenter import Segmenter
from isaac_inference.stages.segmentation.settings import segmentation_settings

TITLE = 'Class masks'
WH = (1920, 1080)
ASKED = 1.25
MODELS = ('deeplabv3_mnv2_voc_257', 'road_segmentation_adas_0001', 'selfie_segmentation_256')
SLOW = 100  # classes beyond which the plain bilinear way takes seconds


def run(options: Options) -> Result:
    """Forms of outputs, then real networks."""
    result = Result('class_mask', TITLE)
    with one_core():
        for form in FORMS:
            _form(result, form, options.pick(40, 8))
        _real(result, options)
    return result


def _form(result: Result, form: Form, rounds: int) -> None:
    card, scores = card_of(form), scores_of(form)
    letterbox = Letterbox.between(WH, form.wh)
    nearest, bilinear = (
        Segmenter(card, segmentation_settings(card, upsampling=way)) for way in ('nearest', 'bilinear')
    )
    outputs = {OUTPUT: scores}
    ways: dict[str, Callable[[int], Any]] = {
        'nearest': lambda index: nearest(outputs, letterbox, with_confidence=False),
        'nearest, with confidence': lambda index: nearest(outputs, letterbox),
        'bilinear': lambda index: bilinear(outputs, letterbox, with_confidence=False),
        'argmax, then cv2.resize': lambda index: _plain(form, scores, letterbox, False),
    }
    if form.classes < SLOW:
        ways['cv2.resize, then argmax'] = lambda index: _plain(form, scores, letterbox, True)
    table = Table(f'{form.name}, mask of {WH[0]}x{WH[1]} [ms]', ['way', *STATS])
    for name, spent in alternate(ways, rounds, warm_up=2).items():
        stats = Stats.of(spent)
        table.add(name, *stats.cells())
        result.data[f'{form.name}: {name}'] = stats.as_json()
    result.tables.append(table)


def _plain(form: Form, scores: np.ndarray, letterbox: Letterbox, linear: bool) -> np.ndarray:
    """The mask as one would write it without this package."""
    planes = scores[0] if form.layout == 'NCHW' else scores[0].transpose(2, 0, 1)
    rows, columns = (slice(part.start // form.stride, part.stop // form.stride) for part in letterbox.region)
    shown = planes[:, rows, columns]
    if not linear:
        ids = shown.argmax(axis=0) if form.classes > 1 else shown[0] > 0.5
        return np.asarray(cv2.resize(ids.astype(np.uint8), WH, interpolation=cv2.INTER_NEAREST))
    large = np.stack([cv2.resize(np.ascontiguousarray(plane), WH) for plane in shown])
    return large.argmax(axis=0) if form.classes > 1 else np.asarray(large[0] > 0.5)


def _real(result: Result, options: Options) -> None:
    (picture,) = options.photos(*WH, 1)
    table = Table('Real networks, one thread, 1920x1080 [ms]', ['model', 'bare session', 'whole way', 'times bare'])
    for stem in MODELS:
        card = _card(Path(options.model).with_name(f'{stem}.onnx'))
        if card is None:
            result.notes.append(f'{stem}: not here, or not read as a segmentation model')
            continue
        bare, whole = _against_bare(card, picture, options.pick(60, 10))
        ratio = whole / bare
        table.add(stem, bare, whole, ratio)
        result.data[stem] = {'bare_ms': bare, 'whole_ms': whole, 'ratio': ratio}
        result.figures.append(
            Figure(
                f'Preprocess, engine and class mask of 1080p, {stem}, one thread',
                f'at most {ASKED:g} times the bare session',
                f'{ratio:.3f} times ({whole:.2f} ms against {bare:.2f} ms)',
                ratio <= ASKED,
            )
        )
    if result.figures:
        result.tables.append(table)


def _card(path: Path) -> ModelCard | None:
    try:
        card = read_card(path)
    except ModelError:
        return None
    return card if card.task is Task.SEMANTIC_SEGMENTATION else None


def _against_bare(card: ModelCard, picture: np.ndarray, rounds: int) -> tuple[float, float]:
    """p50 of the bare session and of the whole way, in ms."""
    preprocess, segment = Preprocessor(card), Segmenter(card)
    with create_engine(card, 'onnxruntime', threads=1) as engine:
        session = cast(Any, engine)._session  # without the engine's checks, but made with its very options
        names = [spec.name for spec in engine.outputs]
        feeds, _ = preprocess(picture)

        def whole(index: int) -> None:
            tensors, letterbox = preprocess(picture)
            segment(engine.infer(tensors), letterbox, with_confidence=False)

        spent = alternate({'bare': lambda index: session.run(names, feeds), 'whole': whole}, rounds, warm_up=3)
    return float(np.median(spent['bare'])), float(np.median(spent['whole']))
