# SPDX-License-Identifier: Apache-2.0
"""Depth from one image: what everything around the network costs, and how right depth is once it is aligned.

TCMonoDepth (small, 192x320; data beside the repository) on photos. CPU time of one thread, the ways in turn: the bare
session on a ready tensor; with preprocessing and the way back to source pixels; and with the fit of scale and shift to
a sensor's depth too. The fit's accuracy is measured on the simulator's depth scenes, whose numbers are made from the
exact depth: its inverse, scaled and shifted, with 2 % of noise that is alike in neighbours, and known depth as the
simulated depth camera measures it, holes and wrong edges included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmark.support.common import DATA, Figure, Options, Result, Table
from isaac_inference.engines import create_engine
from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.models import ImageInput, ModelCard, PreprocessSpec
from isaac_inference.models.card.tasks import DepthKind, MonoDepthSpec
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.ops.depth.dense.scale_shift import fit_scale_shift
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.sim.depth_scenes import NO_FAULTS, DepthFaults, depth_scene
from isaac_inference.sim.mesh_shapes import mesh_kinds
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.depth.mono import MonoDepth

TITLE = 'Depth from one image'
ASKED_COST = 1.25
_FIRST_SEED = 9000


def run(options: Options) -> Result:
    """Both."""
    result = Result('mono', TITLE)
    cv2.setNumThreads(1)
    _cost(result, options)
    _fits(result, options)
    return result


def _cost(result: Result, options: Options) -> None:
    path = Path(DATA) / 'models' / 'tcmonodepth_small_192x320.onnx'
    if not path.is_file():
        result.notes.append('TCMonoDepth is not beside the repository: no cost was measured.')
        return
    card = _card(path)
    prepare, read = Preprocessor(card), MonoDepth(card)
    table = Table('CPU time of a frame', ['image', 'session [ms]', 'with stages', 'with the fit too'])
    costs = []
    with create_engine(card, threads=1) as engine:
        for wh in ((640, 480), (1280, 720)):
            picture = options.photos(*wh, 1)[0]
            ready, letterbox = prepare(picture)
            ready = {name: np.array(array) for name, array in ready.items()}
            known = (1.0 / (read(engine.infer(ready), letterbox) + 0.2)).astype(np.float32)

            def bare(ready: dict[str, np.ndarray] = ready) -> None:
                engine.infer(ready)

            def staged(picture: np.ndarray = picture) -> np.ndarray:
                tensors, letterbox = prepare(picture)
                return read(engine.infer(tensors), letterbox)

            def fitted(known: np.ndarray = known, staged: Callable[[], np.ndarray] = staged) -> None:
                numbers = staged()
                fit_scale_shift(numbers, known, inverse=True).depth(numbers)

            rounds = options.pick(40, 8)
            spent = np.array([[_cpu_ms(way) for way in (bare, staged, fitted)] for _ in range(rounds)])
            ratios = np.median(spent[:, 1:] / spent[:, :1], axis=0)
            table.add(f'{wh[0]}x{wh[1]}', float(np.median(spent[:, 0])), float(ratios[0]), float(ratios[1]))
            costs.append(float(ratios[0]))
            result.data[f'{wh[0]}x{wh[1]}'] = {'stages': float(ratios[0]), 'with_fit': float(ratios[1])}
    result.tables.append(table)
    result.figures.append(
        Figure(
            'Relative depth over its bare session, 640x480', f'at most {ASKED_COST}', f'{costs[0]:.2f}',
            costs[0] <= ASKED_COST,
        )
    )  # fmt: skip


def _fits(result: Result, options: Options) -> None:
    off, inliers = [], []
    names = sorted(mesh_kinds())
    for number in range(options.pick(100, 8)):
        name, seed = names[number % len(names)], _FIRST_SEED + number
        truth = depth_scene(name, seed, NO_FAULTS).depth
        measured = depth_scene(name, seed, DepthFaults()).depth
        rng = np.random.default_rng([seed, 1])
        noise = cv2.GaussianBlur(rng.standard_normal(truth.shape).astype(np.float32), (0, 0), 8.0)
        numbers = (1.0 / truth * (1.0 + 0.02 * noise / noise.std()) - rng.uniform(-0.1, 0.1)) / rng.uniform(0.2, 3.0)
        fit = fit_scale_shift(numbers, measured, inverse=True)
        off.append(depth_errors(fit.depth(numbers.astype(np.float32)), truth).abs_rel)
        inliers.append(fit.inliers)
    table = Table(
        'Scale and shift fitted to simulated depth', ['scenes', 'AbsRel [%], mean', 'worst', 'inliers, mean', 'least']
    )
    table.add(len(off), 100 * float(np.mean(off)), 100 * max(off), float(np.mean(inliers)), min(inliers))
    result.tables.append(table)
    result.data['fit'] = {'abs_rel_mean': float(np.mean(off)), 'abs_rel_worst': max(off), 'scenes': len(off)}


def _card(path: Path) -> ModelCard:
    file = read_model_file(path)
    tensor = file.inputs[0]
    image = ImageInput(tensor, TensorLayout.NCHW, (320, 192), PreprocessSpec(scale=1.0, fit='stretch'))
    spec = MonoDepthSpec({'depth': file.outputs[0].name}, DepthKind.INVERSE)
    return ModelCard(path.stem, path, file.sha256, (image,), file.outputs, spec)


def _cpu_ms(way: Callable[[], object]) -> float:
    begin = time.process_time()
    way()
    return 1e3 * (time.process_time() - begin)
