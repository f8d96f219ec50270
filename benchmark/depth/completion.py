# SPDX-License-Identifier: Apache-2.0
"""Holes of a depth camera filled, guided by the image: without a network, and by the package's own.

Simulated table-top scenes in colour with a depth camera's specks, shadows, grazing surfaces, wrong edges and whole
patches missing (`sim.completion`), on seeds that nothing was chosen on; the truth is exact. Errors in holes are of the
pixels that nothing was read of. The camera's scale is off by 0.5 % (one standard deviation), which nobody can see in a
frame: errors are of the truth in that scale. `nearest` takes the nearest reading, `inpaint` is OpenCV's (Navier-Stokes,
radius 5). The network says how sure it is: `as full as default` takes its surest pixels, as many of each scene as
`default` fills; `readings replaced` takes its depth where something was read, too, and `network` at steps of depth
alone, as the completion node does. Time is CPU time of one thread.

Motorcycle is a real picture with true depth (Middlebury 2014), where it is there; its holes and noise are the
simulated camera's, at the true distance and with everything 0.35 times as far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from benchmark.support.common import DATA, Figure, Options, Result, Table, plt, save_plot
from isaac_inference.evaluation.depth.errors import DepthErrors, depth_errors
from isaac_inference.models import read_card
from isaac_inference.models.demo import completion_model
from isaac_inference.ops.depth.dense.complete import CompletionSettings, complete_depth
from isaac_inference.ops.depth.dense.resample import to_source
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.completion import HOLEY, CompletionSample, completion_sample, holey_depth
from isaac_inference.stages.depth.completion import CompletionNetwork, CompletionNetworkSettings

TITLE = 'Depth completion'
_FIRST_SEED = 9000
_FOCAL, _BASELINE, _DOFFS = 994.978, 0.193001, 31.086  # px, m, px
_NEARER = (1.0, 0.35)
_SETTINGS = {
    'default': CompletionNetworkSettings(),
    'kept': CompletionNetworkSettings(refill_edges=False),
    'replaced': CompletionNetworkSettings(keep_measured=False),
    'everything': CompletionNetworkSettings(min_confidence=0.0, max_reach=0),
}


@dataclass
class _Score:
    """One way's figures, a value for each frame."""

    holes: list[DepthErrors]
    every: list[DepthErrors]
    spent_ms: list[float]

    def row(self) -> dict[str, float]:
        holes, every = self.holes, self.every
        return {
            'abs_rel': 100 * float(np.mean([one.abs_rel for one in holes])),
            'abs_rel_worst': 100 * float(np.max([one.abs_rel for one in holes])),
            'rmse_mm': 1e3 * float(np.mean([one.rmse for one in holes])),
            'complete': float(np.mean([one.completeness for one in holes])),
            'all_abs_rel': 100 * float(np.mean([one.abs_rel for one in every])),
            'all_rmse_mm': 1e3 * float(np.mean([one.rmse for one in every])),
            'all_complete': float(np.mean([one.completeness for one in every])),
            'cpu_ms': float(np.median(self.spent_ms)),
        }


class _Network:
    """The package's network, by its stage, on one thread."""

    def __init__(self) -> None:
        path = str(completion_model())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        card = read_card(path)
        self._stages = {name: CompletionNetwork(card, settings) for name, settings in _SETTINGS.items()}

    def completed(self, sample: CompletionSample, settings: str = 'default') -> np.ndarray:
        """As the completion node fills it with these of `_SETTINGS`."""
        return self._read(sample, settings)[0]

    def as_full_as(self, sample: CompletionSample, other: np.ndarray) -> np.ndarray:
        """Its surest pixels in holes, as many as `other` has."""
        depth, confidence = self._read(sample, 'everything')
        hole = np.isnan(sample.measured) & np.isfinite(sample.truth)
        count = int((hole & np.isfinite(other)).sum())
        places = np.flatnonzero(hole)
        surest = places[np.argsort(-confidence.ravel()[places], kind='stable')[:count]]
        result = sample.measured.copy()
        result.ravel()[surest] = depth.ravel()[surest]
        return result

    def _read(self, sample: CompletionSample, settings: str) -> tuple[np.ndarray, np.ndarray]:
        stage = self._stages[settings]
        tensors, letterbox = stage.tensors(sample.color, sample.measured)
        names = [output.name for output in self._session.get_outputs()]
        outputs = dict(zip(names, self._session.run(names, tensors), strict=True))
        depth, _ = stage.read(outputs, letterbox, sample.measured)
        return depth, to_source(outputs['confidence'][0, 0], letterbox)


def run(options: Options) -> Result:
    """All ways on the same scenes."""
    cv2.setNumThreads(1)
    result = Result('completion', TITLE)
    network = _Network()
    ways: dict[str, Callable[[CompletionSample], np.ndarray]] = {
        'as read': lambda sample: sample.measured,
        'nearest': _nearest,
        'inpaint': _inpaint,
        'default': _default,
        'without the image': lambda sample: complete_depth(sample.measured, np.zeros_like(sample.color)),
        'edges as read': lambda sample: complete_depth(
            sample.measured, sample.color, CompletionSettings(refill_edges=False)
        ),
        'network': network.completed,
        'network, all readings kept': lambda sample: network.completed(sample, 'kept'),
        'network, readings replaced': lambda sample: network.completed(sample, 'replaced'),
        'network, as full as default': lambda sample: network.as_full_as(sample, _default(sample)),
    }
    samples = [completion_sample(_FIRST_SEED + number) for number in range(options.pick(100, 6))]
    _compare(result, 'Simulated scenes, 640x480', '', ways, samples)
    folder = Path(DATA) / 'stereo' / 'motorcycle'
    if folder.is_dir():
        for nearer in _NEARER:
            frames = [_motorcycle(folder, nearer, seed) for seed in range(options.pick(12, 2))]
            title = f'Motorcycle, {nearer:g} times as far'
            _compare(result, title, f'motorcycle {nearer:g} ', ways, frames)
    default, ours, equal = (result.data[name] for name in ('default', 'network', 'network, as full as default'))
    result.figures += [
        Figure(
            'Completed depth without a network, in holes', 'no figure',
            f'AbsRel {default["abs_rel"]:.3f} %, {100 * default["complete"]:.0f} % of them filled', None,
        ),
        Figure(
            "The network's error in holes beside that, as many of them filled", 'at most half',
            f'{equal["abs_rel"] / default["abs_rel"]:.2f} times; as it is: {ours["abs_rel"]:.3f} %, '
            f'{100 * ours["complete"]:.0f} % filled',
            equal['abs_rel'] <= 0.5 * default['abs_rel'],
        ),
    ]  # fmt: skip
    _plot(result, options, samples[0], network)
    return result


def _compare(
    result: Result,
    title: str,
    prefix: str,
    ways: dict[str, Callable[[CompletionSample], np.ndarray]],
    samples: Sequence[CompletionSample],
) -> None:
    """All ways on the same frames, as a table; data with a prefix."""
    table = Table(
        title,
        ['way', 'in holes: AbsRel [%], mean', 'worst', 'RMSE [mm]', 'complete', 'all: AbsRel [%]', 'RMSE [mm]',
         'complete', 'CPU [ms]'],
    )  # fmt: skip
    for name, way in ways.items():
        score = _Score([], [], [])
        for sample in samples:
            begin = time.process_time()
            found = way(sample)
            score.spent_ms.append(1e3 * (time.process_time() - begin))
            truth = sample.truth * np.float32(sample.scale)
            score.holes.append(depth_errors(found, truth, np.isnan(sample.measured)))
            score.every.append(depth_errors(found, truth))
        row = score.row()
        table.add(name, *row.values())
        result.data[f'{prefix}{name}'] = row
    result.tables.append(table)


def _motorcycle(folder: Path, nearer: float, seed: int) -> CompletionSample:
    """The left picture, its true depth, and what the simulated camera would read of it."""
    color = cv2.imread(str(folder / 'motorcycle_left.png'))
    disparity = np.load(folder / 'motorcycle_disp.npz')['arr_0'].astype(np.float32)
    truth = np.where(np.isfinite(disparity), _FOCAL * _BASELINE / (disparity + _DOFFS), np.nan) * nearer
    height, width = truth.shape
    K = np.array([(_FOCAL, 0, width / 2), (0, _FOCAL, height / 2), (0, 0, 1)])
    camera = CameraModel(width, height, K, (), 'none')
    whole = _nearest_known(truth.astype(np.float32))  # or the camera would see a step around what is not known
    measured, scale = holey_depth(whole, camera, HOLEY, np.random.default_rng([77, seed]))
    measured[np.isnan(truth)] = np.nan
    return CompletionSample(color, truth.astype(np.float32), measured, camera, scale)


def _default(sample: CompletionSample) -> np.ndarray:
    return complete_depth(sample.measured, sample.color)


def _nearest(sample: CompletionSample) -> np.ndarray:
    return _nearest_known(sample.measured)


def _nearest_known(depth: np.ndarray) -> np.ndarray:
    """Depth whose NaN are the nearest value."""
    missing = np.isnan(depth)
    _, labels = cv2.distanceTransformWithLabels(
        missing.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label: np.ndarray = np.zeros(int(labels.max()) + 1, np.float32)
    by_label[labels[~missing]] = depth[~missing]
    return np.asarray(by_label[labels])


def _inpaint(sample: CompletionSample) -> np.ndarray:
    missing = np.isnan(sample.measured)
    return cv2.inpaint(np.where(missing, np.float32(0), sample.measured), missing.astype(np.uint8), 5, cv2.INPAINT_NS)


def _plot(result: Result, options: Options, sample: CompletionSample, network: _Network) -> None:
    figure, axes = plt.subplots(2, 3, figsize=(15, 7.6))
    near, far = np.nanpercentile(sample.truth, (1, 99))
    filled = {'default': _default(sample), 'network': network.completed(sample)}
    pictures = {'image': sample.color[..., ::-1], 'truth': sample.truth, 'as read': sample.measured, **filled}
    for axis, (title, picture) in zip(axes.ravel(), pictures.items(), strict=False):
        shown = axis.imshow(picture) if picture.ndim == 3 else axis.imshow(picture, vmin=near, vmax=far)
        axis.set_title(title if picture.ndim == 3 else f'{title} [m]')
        axis.axis('off')
        if picture.ndim == 2:
            figure.colorbar(shown, ax=axis, fraction=0.035)
    error = np.abs(filled['network'] / (sample.truth * sample.scale) - 1)
    shown = axes[1, 2].imshow(100 * error, vmin=0, vmax=1)
    axes[1, 2].set_title("network's error [%]")
    axes[1, 2].axis('off')
    figure.colorbar(shown, ax=axes[1, 2], fraction=0.035)
    save_plot(figure, options, 'completion', result)
