# SPDX-License-Identifier: Apache-2.0
"""Holes of a depth camera filled by what is around them, guided by the image, without a network.

Simulated table-top scenes in colour with a depth camera's specks, shadows, grazing surfaces, wrong edges and whole
patches missing (`sim.completion`), on seeds that nothing was chosen on; the truth is exact. Errors in holes are of the
pixels that nothing was read of; the camera's scale alone is off by 0.5 % (one standard deviation). `nearest` takes the
nearest reading, `inpaint` is OpenCV's (Navier-Stokes, radius 5). Time is CPU time of one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from benchmark.depth.networks import Complete, completion_network
from benchmark.support.common import Figure, Options, Result, Table, plt, save_plot
from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.ops.depth.dense.complete import CompletionSettings, complete_depth
from isaac_inference.sim.completion import CompletionSample, completion_sample

TITLE = 'Depth completion without a network'
_FIRST_SEED = 9000


def run(options: Options) -> Result:
    """All ways on the same scenes."""
    cv2.setNumThreads(1)
    with completion_network() as network:
        return _run(options, network)


def _run(options: Options, network: Complete | None) -> Result:
    result = Result('completion', TITLE)
    samples = [completion_sample(_FIRST_SEED + number) for number in range(options.pick(100, 6))]
    ways: dict[str, Callable[[CompletionSample], np.ndarray]] = {
        'as read': lambda sample: sample.measured,
        'nearest': _nearest,
        'inpaint': _inpaint,
        'default': lambda sample: complete_depth(sample.measured, sample.color),
        'without the image': lambda sample: complete_depth(sample.measured, np.zeros_like(sample.color)),
        'edges as read': lambda sample: complete_depth(
            sample.measured, sample.color, CompletionSettings(refill_edges=False)
        ),
    }
    if network is not None:
        ways['network'] = lambda sample: network(sample.color, sample.measured)
    table = Table(
        'Simulated scenes, 640x480',
        ['way', 'in holes: AbsRel [%], mean', 'worst', 'RMSE [mm]', 'complete', 'all: AbsRel [%]', 'RMSE [mm]',
         'complete', 'CPU [ms]'],
    )  # fmt: skip
    for name, way in ways.items():
        holes, every, spent = [], [], []
        for sample in samples:
            begin = time.process_time()
            found = way(sample)
            spent.append(1e3 * (time.process_time() - begin))
            holes.append(depth_errors(found, sample.truth, np.isnan(sample.measured)))
            every.append(depth_errors(found, sample.truth))
        row = {
            'abs_rel': 100 * float(np.mean([one.abs_rel for one in holes])),
            'abs_rel_worst': 100 * float(np.max([one.abs_rel for one in holes])),
            'rmse_mm': 1e3 * float(np.mean([one.rmse for one in holes])),
            'complete': float(np.mean([one.completeness for one in holes])),
            'all_abs_rel': 100 * float(np.mean([one.abs_rel for one in every])),
            'all_rmse_mm': 1e3 * float(np.mean([one.rmse for one in every])),
            'all_complete': float(np.mean([one.completeness for one in every])),
            'cpu_ms': float(np.median(spent)),
        }
        table.add(name, *row.values())
        result.data[name] = row
    result.tables.append(table)
    default = result.data['default']
    result.figures.append(
        Figure(
            'Completed depth without a network, in holes', 'no figure',
            f'AbsRel {default["abs_rel"]:.2f} %, {100 * default["complete"]:.0f} % of them filled', None,
        )
    )  # fmt: skip
    _plot(result, options, samples[0])
    return result


def _nearest(sample: CompletionSample) -> np.ndarray:
    missing = np.isnan(sample.measured)
    _, labels = cv2.distanceTransformWithLabels(
        missing.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label: np.ndarray = np.zeros(int(labels.max()) + 1, np.float32)
    by_label[labels[~missing]] = sample.measured[~missing]
    return np.asarray(by_label[labels])


def _inpaint(sample: CompletionSample) -> np.ndarray:
    missing = np.isnan(sample.measured)
    return cv2.inpaint(np.where(missing, np.float32(0), sample.measured), missing.astype(np.uint8), 5, cv2.INPAINT_NS)


def _plot(result: Result, options: Options, sample: CompletionSample) -> None:
    filled = complete_depth(sample.measured, sample.color)
    figure, axes = plt.subplots(2, 2, figsize=(11, 8))
    near, far = np.nanpercentile(sample.truth, (1, 99))
    pictures = {'image': sample.color[..., ::-1], 'truth': sample.truth, 'as read': sample.measured, 'filled': filled}
    for axis, (title, picture) in zip(axes.ravel(), pictures.items(), strict=True):
        shown = axis.imshow(picture) if picture.ndim == 3 else axis.imshow(picture, vmin=near, vmax=far)
        axis.set_title(title if picture.ndim == 3 else f'{title} [m]')
        axis.axis('off')
        if picture.ndim == 2:
            figure.colorbar(shown, ax=axis, fraction=0.035)
    save_plot(figure, options, 'completion', result)
