# SPDX-License-Identifier: Apache-2.0
"""Disparity and depth of stereo pairs with the default settings, without a network.

The Motorcycle pair (Middlebury 2014, at a quarter of its size, 741x500; data beside the repository) with its measured
disparity, and simulated table-top scenes with an exact one, on seeds that nothing was chosen on. Errors are of the
pixels that have a match and a truth; `complete` is their part of those with a truth (simulator: that both cameras
see). `OpenCV alone` is its SGBM with the same window, penalties and range, and its own check of both sides and of
islands. Time is CPU time of one thread, of both in turn; the cost over bare SGBM is that of the whole stage, with grey
conversion and depth, to the two passes that the check from both sides needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmark.depth.stereo_network import Match, stereo_network
from benchmark.support.common import DATA, Figure, Options, Result, Table, plt, save_plot
from isaac_inference.evaluation.depth.errors import DisparityErrors, depth_errors, disparity_errors
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.stereo.matcher import Disparity, StereoMatcher
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.ops.stereo.settings import MatchMode, StereoSettings
from isaac_inference.sim.stereo import BASELINE, StereoSample, stereo_sample

TITLE = 'Depth from stereo without a network'
ASKED_MAE, ASKED_BAD, ASKED_RELATIVE, ASKED_COST = 0.9, 5.5, 0.01, 1.25
_FIRST_SEED = 9000
_K = np.array([[994.978, 0, 311.193], [0, 994.978, 254.877], [0, 0, 1]])
MOTORCYCLE = StereoRig(CameraModel(741, 500, _K), 0.193001, 31.086)


def run(options: Options) -> Result:
    """The real pair, where it is, and the simulated ones."""
    result = Result('stereo', TITLE)
    cv2.setNumThreads(1)
    with stereo_network() as network:
        _motorcycle(result, options, network)
        _simulated(result, options, network)
    return result


def _motorcycle(result: Result, options: Options, network: Match | None) -> None:
    folder = Path(DATA) / 'stereo' / 'motorcycle'
    if not folder.is_dir():
        result.notes.append('The Motorcycle pair is not beside the repository: only the simulator was measured.')
        return
    left, right = (cv2.imread(str(folder / f'motorcycle_{side}.png')) for side in ('left', 'right'))
    truth = np.load(folder / 'motorcycle_disp.npz')['arr_0']
    grey = cv2.cvtColor(left, cv2.COLOR_BGR2GRAY), cv2.cvtColor(right, cv2.COLOR_BGR2GRAY)
    lowest, table = MOTORCYCLE.lowest, Table('Motorcycle', ['way', *_COLUMNS, 'CPU [ms]'])
    ways: dict[str, Callable[[], np.ndarray]] = {
        'default': lambda: StereoMatcher()(*grey, lowest).pixels,
        'balanced': lambda: StereoMatcher(StereoSettings(mode=MatchMode.BALANCED))(*grey, lowest).pixels,
        'full': lambda: StereoMatcher(StereoSettings(mode=MatchMode.FULL))(*grey, lowest).pixels,
        'every match': lambda: StereoMatcher(StereoSettings(min_confidence=0.0))(*grey, lowest).pixels,
        'OpenCV alone': lambda: _opencv(*grey, lowest),
    }
    if network is not None:
        ways['network'] = lambda: network(left, right, -MOTORCYCLE.doffs).pixels
    for name, way in ways.items():
        found, spent = way(), _cpu_ms(way, options.pick(5, 1))
        errors = disparity_errors(found, truth)
        table.add(name, *_cells(errors), spent)
        result.data[f'motorcycle {name}'] = {'mae_px': errors.mae, 'bad_percent': errors.bad, 'cpu_ms': spent}
    result.tables.append(table)
    found = StereoMatcher()(*grey, lowest)
    errors = disparity_errors(found.pixels, truth)
    relative = depth_errors(MOTORCYCLE.depth(found.pixels), MOTORCYCLE.depth(truth)).median_rel
    cost = _cost(left, right, lowest, options.pick(9, 2))
    result.figures += [
        Figure('Motorcycle, default: MAE', f'at most {ASKED_MAE} px', f'{errors.mae:.3f} px', errors.mae <= ASKED_MAE),
        Figure(
            'Motorcycle, default: off by more than 2 px', f'at most {ASKED_BAD} %', f'{errors.bad:.2f} %',
            errors.bad <= ASKED_BAD,
        ),
        Figure(
            'Motorcycle, default: median relative error of depth', f'at most {100 * ASKED_RELATIVE:g} %',
            f'{100 * relative:.2f} %', relative <= ASKED_RELATIVE,
        ),
        Figure('Stereo stage over its bare SGBM', f'at most {ASKED_COST}', f'{cost:.2f}', cost <= ASKED_COST),
    ]  # fmt: skip
    _plot(result, options, left, found, truth)


def _simulated(result: Result, options: Options, network: Match | None) -> None:
    columns = ['way', 'MAE [px], mean', 'worst', '> 2 px [%], mean', 'worst', 'depth off, median [%]', 'complete, mean',
               'worst']  # fmt: skip
    table = Table(f'Simulated scenes, 640x480, baseline {1000 * BASELINE:g} mm', columns)
    samples = [stereo_sample(_FIRST_SEED + number) for number in range(options.pick(100, 6))]
    ways: dict[str, Callable[[StereoSample], np.ndarray]] = {
        'default': lambda sample: StereoMatcher()(*_greys(sample)).pixels,
        'balanced': lambda sample: StereoMatcher(StereoSettings(mode=MatchMode.BALANCED))(*_greys(sample)).pixels,
        'every match': lambda sample: StereoMatcher(StereoSettings(min_confidence=0.0))(*_greys(sample)).pixels,
        'OpenCV alone': lambda sample: _opencv(*_greys(sample), 0),
    }
    if network is not None:
        ways['network'] = lambda sample: network(sample.left, sample.right, 0.0).pixels
    for name, way in ways.items():
        found, relative = [], []
        for sample in samples:
            rig = StereoRig(sample.left_camera, BASELINE)
            pixels = way(sample)
            found.append(disparity_errors(pixels, sample.disparity, sample.visible))
            relative.append(depth_errors(rig.depth(pixels), sample.depth, sample.visible).median_rel)
        mae, bad, complete = (np.array([getattr(one, key) for one in found]) for key in ('mae', 'bad', 'completeness'))
        table.add(
            name, float(mae.mean()), float(mae.max()), float(bad.mean()), float(bad.max()),
            100 * float(np.mean(relative)), float(complete.mean()), float(complete.min()),
        )  # fmt: skip
        result.data[f'simulator {name}'] = {
            'mae_px': float(mae.mean()),
            'bad_percent': float(bad.mean()),
            'completeness': float(complete.mean()),
            'scenes': len(samples),
        }
    result.tables.append(table)


def _greys(sample: StereoSample) -> tuple[np.ndarray, np.ndarray]:
    return cv2.cvtColor(sample.left, cv2.COLOR_BGR2GRAY), cv2.cvtColor(sample.right, cv2.COLOR_BGR2GRAY)


_COLUMNS = ['MAE [px]', 'median [px]', '> 2 px [%]', '> 2 px or none [%]', 'complete']


def _cells(errors: DisparityErrors) -> tuple[float, float, float, float, float]:
    return errors.mae, errors.median, errors.bad, errors.bad_or_missing, errors.completeness


def _opencv(left: np.ndarray, right: np.ndarray, lowest: int) -> np.ndarray:
    """(H, W) float32 px, NaN for unknown: SGBM as it comes, with the default settings' numbers."""
    found = _sgbm(left.shape[1], lowest, own_check=True).compute(left, right)
    disparity = found.astype(np.float32) / 16
    disparity[disparity < lowest] = math.nan
    return disparity


def _sgbm(width: int, lowest: int, own_check: bool) -> cv2.StereoSGBM:
    chosen = StereoSettings()
    window = chosen.block**2
    return cv2.StereoSGBM.create(
        lowest, chosen.range_for(width), chosen.block, 8 * window, 32 * window, 1 if own_check else -1, 63,
        chosen.uniqueness, chosen.speckle_size if own_check else 0, 2, cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )  # fmt: skip


def _cost(left: np.ndarray, right: np.ndarray, lowest: int, rounds: int) -> float:
    """CPU time of the whole stage over that of its two bare passes, medians of rounds in turn."""
    grey = cv2.cvtColor(left, cv2.COLOR_BGR2GRAY), cv2.cvtColor(right, cv2.COLOR_BGR2GRAY)
    count = StereoSettings().range_for(left.shape[1])
    wide = [cv2.copyMakeBorder(image, 0, 0, lowest + count, -lowest, cv2.BORDER_REPLICATE) for image in grey]
    bare, matcher = _sgbm(left.shape[1], lowest, own_check=False), StereoMatcher()

    def stage() -> None:
        images = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (left, right))
        MOTORCYCLE.depth(matcher(*images, lowest).pixels)

    def passes() -> None:
        bare.compute(*wide)
        bare.compute(*wide)

    ratios = [_cpu_ms(stage, 1) / _cpu_ms(passes, 1) for _ in range(rounds)]
    return float(np.median(ratios))


def _cpu_ms(way: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        way()
        spent.append(1e3 * (time.process_time() - begin))
    return float(np.median(spent))


def _plot(result: Result, options: Options, left: np.ndarray, found: Disparity, truth: np.ndarray) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5))
    pictures = {
        'left image': left[..., ::-1],
        'disparity [px]': found.pixels,
        'measured truth [px]': np.where(np.isfinite(truth), truth, np.nan),
        'error, at most 5 px [px]': np.minimum(np.abs(found.pixels - truth), 5.0),
    }
    for axis, (title, picture) in zip(axes.ravel(), pictures.items(), strict=True):
        shown = axis.imshow(picture, cmap=None if picture.ndim == 3 else 'viridis')
        axis.set_title(title)
        axis.axis('off')
        if picture.ndim == 2:
            figure.colorbar(shown, ax=axis, fraction=0.035)
    save_plot(figure, options, 'stereo', result)
