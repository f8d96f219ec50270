# SPDX-License-Identifier: Apache-2.0
"""Rectified model inputs: one step against two, and against OpenCV's own maps; the GPU's kernels, run on the CPU."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.calibrations import D, matrices, rectification
from support.cuda.grey_levels import assert_same_pixels
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu
from support.onnx_models import WH
from support.raw_images import NORMALISED, card_with, raw_image

from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard, PreprocessSpec
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, to_color
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas, resize_into
from isaac_inference.ops.image.options import ColorOrder, Interpolation
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor

needs_compiler = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
RAW = PreprocessSpec(color='bgr', scale=1.0, pad_value=77)


@pytest.fixture
def card_of(tmp_path: Path) -> Callable[..., ModelCard]:
    return functools.partial(card_with, tmp_path)


def photo(width: int, height: int) -> np.ndarray:
    """Noise as smooth as a photo is."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.0)


def opencv_rectified(image: np.ndarray, letterbox: Letterbox | None = None, nearest: bool = False) -> np.ndarray:
    """The rectified image by OpenCV's maps, or, by a P that has the letterbox in it, what a model's input shows."""
    height, width = image.shape[:2]
    K, P = matrices(width, height, 0.8)
    size = (width, height)
    if letterbox is not None:
        scale, offset = np.array(letterbox.scale_xy), np.array(letterbox.offset_xy)
        P[(0, 1), (0, 1)] *= scale
        P[:2, 2] = (P[:2, 2] + 0.5) * scale + offset - 0.5  # from pixel centres to edges, and back
        size = letterbox.input_wh
    maps = cv2.initUndistortRectifyMap(K, np.array(D), np.eye(3), P[:, :3], size, cv2.CV_32FC1)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    pad = (RAW.pad_value,) * 3
    found = cv2.remap(image, *maps[:2], how, borderMode=cv2.BORDER_CONSTANT, borderValue=pad)
    return found if letterbox is None else padded(found[letterbox.region], letterbox)


def padded(region: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    canvas = new_canvas(letterbox.input_wh, RAW.pad_value)
    canvas[letterbox.region] = region
    return canvas


def assert_alike(found: np.ndarray, expected: np.ndarray, levels: int, mean: float) -> None:
    """But for the edge of what the camera sees, where OpenCV mixes in what is beside it."""
    seen = cv2.erode((expected != RAW.pad_value).any(axis=-1).astype(np.uint8), np.ones((5, 5)))
    difference = np.abs(found.astype(int) - expected.astype(int)).max(axis=-1)[seen > 0]
    assert difference.size > 0.2 * seen.size
    assert difference.mean() <= mean
    assert np.percentile(difference, 99) <= levels


def test_the_whole_picture_is_opencv_s(card_of: Callable[..., ModelCard]) -> None:
    image = photo(320, 240)
    rectifier = Preprocessor(card_of(preprocess=RAW)).rectifier
    assert_alike(rectifier.picture(image, rectification(320, 240)), opencv_rectified(image), levels=1, mean=0.03)


@pytest.mark.parametrize('interpolation', ['linear', 'nearest'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('wh', [(320, 240), (100, 150), (50, 40)])
def test_in_one_step_the_input_is_opencv_s(
    card_of: Callable[..., ModelCard], interpolation: str, fit: str, wh: tuple[int, int]
) -> None:
    """What OpenCV's maps of the input itself give."""
    image = photo(*wh)
    found, letterbox = prepared(card_of, image, interpolation, fit)
    assert_alike(found, opencv_rectified(image, letterbox, interpolation == 'nearest'), levels=1, mean=0.05)


@pytest.mark.parametrize('interpolation', ['area', 'cubic'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
def test_in_two_steps_the_input_is_opencv_s(card_of: Callable[..., ModelCard], interpolation: str, fit: str) -> None:
    """Its rectification, and then its resize."""
    image = photo(320, 240)
    found, letterbox = prepared(card_of, image, interpolation, fit)
    expected = new_canvas(WH, RAW.pad_value)
    resize_into(opencv_rectified(image), letterbox, expected, Interpolation(interpolation))
    assert_alike(found, expected, levels=1, mean=0.05)


def prepared(
    card_of: Callable[..., ModelCard], image: np.ndarray, interpolation: str, fit: str
) -> tuple[np.ndarray, Letterbox]:
    """(H, W, 3) of a model's input that is the pixels themselves, and the letterbox."""
    wh = (image.shape[1], image.shape[0])
    spec = dataclasses.replace(RAW, interpolation=interpolation, fit=fit)
    card = card_of(preprocess=spec, layout='NHWC', dtype='uint8')
    tensors, letterbox = Preprocessor(card)(image, ColorOrder.BGR, rectification(*wh))
    assert letterbox == Letterbox.between(wh, WH, fit)
    return next(iter(tensors.values()))[0], letterbox


def waves(rays: np.ndarray, shortest_px: float, focal: float) -> np.ndarray:
    """Brightness of a scene far away by direction (N, 2), x / z and y / z: known exactly, wherever it is looked at."""
    rng = np.random.default_rng(5)
    across = rng.uniform(-1.0, 1.0, (40, 2))
    per_ray = focal * 2.0 * np.pi / rng.uniform(shortest_px, 40.0, (40, 1))
    phases = rays @ (across / np.linalg.norm(across, axis=1, keepdims=True) * per_ray).T + rng.uniform(0.0, 6.28, 40)
    return np.asarray(np.clip(127.0 + 14.0 * np.sin(phases).sum(axis=1), 0.0, 255.0))


@pytest.mark.parametrize('wh', [(320, 240), (150, 100)])
def test_one_step_is_nearer_to_the_scene_than_two(card_of: Callable[..., ModelCard], wh: tuple[int, int]) -> None:
    """Pixels are mixed once instead of twice."""
    card = card_of(preprocess=RAW, layout='NHWC', dtype='uint8')
    made = rectification(*wh)
    columns, rows = np.meshgrid(np.arange(wh[0]), np.arange(wh[1]))
    rays = made.raw.undistort(np.column_stack((columns.ravel(), rows.ravel())))
    raw = np.rint(waves(rays, 7.0, made.raw.focal)).astype(np.uint8).reshape(wh[1], wh[0], 1).repeat(3, axis=2)
    tensors, letterbox = Preprocessor(card)(raw, ColorOrder.BGR, made)
    two = new_canvas(WH, RAW.pad_value)
    resize_into(Preprocessor(card).rectifier.picture(raw, made), letterbox, two)
    inner = np.stack(np.meshgrid(*(np.arange(side // 4, 3 * side // 4) for side in WH)), axis=-1).reshape(-1, 2)
    true = waves(made.rectified.undistort(letterbox.points_to_source(inner + 0.5) - 0.5), 7.0, made.raw.focal)
    x, y = inner.T
    errors = [np.sqrt(np.mean((found[y, x, 0] - true) ** 2)) for found in (next(iter(tensors.values()))[0], two)]
    assert errors[0] < 0.9 * errors[1]


def test_linear_is_the_exact_value_at_the_place(card_of: Callable[..., ModelCard]) -> None:
    """A ramp of grey shows where each pixel of the input was read."""
    width, height = 320, 240
    ramp = np.broadcast_to((np.arange(width) * 0.75).astype(np.uint8)[:, None], (height, width, 3)).copy()
    made = rectification(width, height)
    card = card_of(preprocess=RAW, layout='NHWC', dtype='uint8')
    tensors, letterbox = Preprocessor(card)(ramp, ColorOrder.BGR, made)
    found = next(iter(tensors.values()))[0]
    for column, row in ((12, 20), (30, 32), (50, 40)):
        # pixel centres: 0.5 from their edges, as the letterbox counts
        place = letterbox.points_to_source(np.array([column + 0.5, row + 0.5])) - 0.5
        x = made.raw_pixels(place[:1], place[1:])[0, 0, 0]
        assert abs(float(found[row, column, 0]) - 0.75 * x) <= 1.0


def test_a_new_calibration_makes_new_maps_and_the_same_one_none(card_of: Callable[..., ModelCard]) -> None:
    preprocessor, image = Preprocessor(card_of()), photo(320, 240)
    first, second = rectification(320, 240), rectification(320, 240, zoom=0.7)
    made = preprocessor.rectifier.input_map(first, preprocessor(image, rectification=first)[1])
    preprocessor(image, rectification=first)
    assert preprocessor.rectifier.input_map(first, preprocessor(image, rectification=first)[1]) is made
    one, two = (next(iter(preprocessor(image, rectification=each)[0].values())) for each in (first, second))
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(next(iter(preprocessor(image, rectification=first)[0].values())), one)
    plain = next(iter(preprocessor(image)[0].values()))
    np.testing.assert_array_equal(plain, next(iter(Preprocessor(card_of())(image)[0].values())))


def test_an_image_of_another_size_than_the_maps_is_refused(card_of: Callable[..., ModelCard]) -> None:
    with pytest.raises(FrameError) as caught:
        Preprocessor(card_of())(photo(320, 200), rectification=rectification(320, 240))
    assert caught.value.reason == 'resize_failed'


# On the GPU


def assert_same(
    card: ModelCard, stage: GpuPreprocessor, image: RawImage, made: Rectification | None, exact: bool = True
) -> None:
    tensors, letterbox = stage(image, made)
    preprocessor = Preprocessor(card)
    expected, expected_letterbox = preprocessor(*to_color(image, preprocessor.wanted), made)
    assert letterbox == expected_letterbox
    for name, tensor in tensors.items():
        level = card.image.preprocess.scale / min(card.image.preprocess.std)
        assert_same_pixels(np.asarray(tensor), expected[name], level=level, exact=exact)


@needs_compiler
@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS))
def test_every_encoding_gives_the_cpu_s_tensor(card_of: Callable[..., ModelCard], encoding: str) -> None:
    card = card_of()
    stage = GpuPreprocessor(card, FakeGpu())
    made = rectification(100, 80)
    assert_same(card, stage, raw_image(encoding), made)
    assert_same(card, stage, raw_image(encoding, padding=6, is_bigendian=True, seed=1), made)


@needs_compiler
@pytest.mark.parametrize('interpolation', ['linear', 'nearest', 'area'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize(('layout', 'dtype'), [('NCHW', 'float32'), ('NHWC', 'float16'), ('NHWC', 'uint8')])
def test_every_fit_layout_and_type_gives_the_cpu_s_tensor(
    card_of: Callable[..., ModelCard], interpolation: str, fit: str, layout: str, dtype: str
) -> None:
    spec = PreprocessSpec(color='rgb', scale=1.0) if dtype == 'uint8' else NORMALISED
    spec = dataclasses.replace(spec, fit=fit, interpolation=interpolation)
    card = card_of(preprocess=spec, layout=layout, dtype=dtype)
    stage = GpuPreprocessor(card, FakeGpu())
    for size in ((100, 80), WH, (33, 120), (2 * WH[0], 2 * WH[1])):
        made = rectification(*size)
        assert_same(card, stage, raw_image('rgb8', *size, padding=3), made)


@needs_compiler
def test_cubic_gives_the_cpu_s_tensor_but_for_a_grey_level(card_of: Callable[..., ModelCard]) -> None:
    card = card_of(preprocess=dataclasses.replace(NORMALISED, interpolation='cubic'))
    assert_same(card, GpuPreprocessor(card, FakeGpu()), raw_image(), rectification(100, 80), exact=False)


@needs_compiler
@pytest.mark.parametrize('interpolation', ['linear', 'area'])
def test_a_change_of_calibration_size_or_encoding_mid_stream(
    card_of: Callable[..., ModelCard], interpolation: str
) -> None:
    card = card_of(preprocess=dataclasses.replace(NORMALISED, interpolation=interpolation))
    stage = GpuPreprocessor(card, FakeGpu())
    frames: list[tuple[RawImage, Rectification | None]] = [
        (raw_image(), rectification(100, 80)),
        (raw_image(), rectification(100, 80, zoom=0.7)),
        (raw_image(), None),
        (raw_image('yuyv'), rectification(100, 80)),
        (raw_image(width=40, height=120), rectification(40, 120)),
        (raw_image('mono16'), rectification(100, 80)),
    ]
    for image, made in frames * 2 + frames[::-1]:
        assert_same(card, stage, image, made)


@needs_compiler
@pytest.mark.parametrize('interpolation', ['linear', 'area'])
def test_maps_are_made_and_uploaded_once(card_of: Callable[..., ModelCard], interpolation: str) -> None:
    gpu = FakeGpu()
    stage = GpuPreprocessor(card_of(preprocess=dataclasses.replace(NORMALISED, interpolation=interpolation)), gpu)
    image, made = raw_image(), rectification(100, 80)
    stage(image, made)
    before = dict(vars(gpu.counters))
    for _ in range(3):
        stage(image, made)
    assert gpu.counters.copies == before['copies'] + 3, 'the image alone'
    assert gpu.counters.allocations == before['allocations']
    assert gpu.counters.synchronizations == before['synchronizations']
    assert gpu.counters.launches == before['launches'] + (3 if interpolation == 'linear' else 6)


@needs_compiler
@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono16', 'nv12', 'bayer_grbg8'])
def test_the_picture_is_the_cpu_s(card_of: Callable[..., ModelCard], encoding: str) -> None:
    card, image, made = card_of(), raw_image(encoding), rectification(100, 80)
    found = GpuPreprocessor(card, FakeGpu()).picture(image, made)
    color, order = to_color(image, ColorOrder.BGR)
    expected = Preprocessor(card).rectifier.picture(color, made)
    np.testing.assert_array_equal(found, expected if order is ColorOrder.BGR else expected[..., ::-1])


@needs_compiler
def test_closing_gives_all_back(card_of: Callable[..., ModelCard]) -> None:
    gpu = FakeGpu()
    stage = GpuPreprocessor(card_of(), gpu)
    stage(raw_image(), rectification(100, 80))
    stage.picture(raw_image(), rectification(100, 80))
    stage.close()
    assert (gpu.pool.used, gpu.pool.live) == (0, [])
