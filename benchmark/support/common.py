# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: options, results, statistics, the pictures and synthetic model cards."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models import DetectionSpec, ImageInput, ModelCard, PreprocessSpec, TensorSpec
from isaac_inference.models.demo import demo_model
from isaac_inference.pictures import IMAGE_SUFFIXES

matplotlib.use('Agg')
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / 'shared' / 'data'  # data beside the repository, if present
RESULTS = ROOT / 'benchmark' / 'results'
COLORS = ('#3b6ea5', '#e08e45', '#5a9e6f', '#b55d60', '#857aab', '#8d7866', '#9a9a9a', '#c9b458')


class SkippedError(Exception):
    """A benchmark that can't run here; the text says what is missing."""


@dataclass(frozen=True)
class Options:
    """What the command line chose."""

    quick: bool = False
    model: str = str(DATA / 'models' / 'yolox_nano.onnx')
    images: str = str(DATA / 'coco' / 'eval')
    results: str = str(RESULTS)
    pose_model: str = ''
    preset: str = 'balanced'
    tactic_sources: str = ''

    def pick(self, full: Any, quick: Any) -> Any:
        """`quick` for a short look, `full` for a measurement that counts."""
        return quick if self.quick else full

    def model_path(self) -> str:
        """The model, or SkippedError."""
        if not Path(self.model).is_file():
            raise SkippedError('no model: give one with --model (YOLOX-nano, COCO, 416x416 is the one that is meant)')
        return str(Path(self.model).resolve())

    def pose_model_path(self) -> str:
        """The model that poses are measured with: the package's own unless another is given; or SkippedError."""
        if self.pose_model:
            if not Path(self.pose_model).is_file():
                raise SkippedError(f'no pose model: there is no file {self.pose_model}')
            return str(Path(self.pose_model).resolve())
        try:
            return str(demo_model())
        except ModelError as error:
            raise SkippedError(str(error)) from error

    def image_paths(self) -> list[Path]:
        """The photos, sorted, or SkippedError."""
        folder = Path(self.images)
        found = (
            sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            if folder.is_dir()
            else []
        )
        if not found:
            raise SkippedError('no photos: give a folder with --images')
        return found

    def photos(self, width: int, height: int, count: int) -> list[np.ndarray]:
        """`count` BGR pictures of one size: the photos where there are any, else noise."""
        try:
            pictures = [cv2.imread(str(path)) for path in self.image_paths()[:count]]
        except SkippedError:
            pictures = [np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)]
        sized = [cv2.resize(picture, (width, height)) for picture in pictures]
        return [sized[index % len(sized)].copy() for index in range(count)]


@dataclass
class Figure:
    """One figure to reach, and what came out; `met` is None where nothing is asked."""

    figure: str
    asked: str
    measured: str
    met: bool | None


@dataclass
class Table:
    """Rows of text for people."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        """One more row; numbers are shortened."""
        self.rows.append([number(cell) if isinstance(cell, float) else str(cell) for cell in cells])


@dataclass
class Result:
    """What a benchmark found; becomes its JSON file."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    plots: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    skipped: str = ''

    def as_json(self) -> dict[str, Any]:
        """Plain types only."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Stats:
    """Percentiles of one set of samples."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, samples: Sequence[float] | np.ndarray) -> Stats:
        """Of at least one sample."""
        values = np.asarray(samples, np.float64)
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return cls(len(values), float(p50), float(p95), float(p99), float(values.max()))

    def cells(self) -> tuple[float, float, float, float, int]:
        """p50, p95, p99, max, count: the columns of `STATS`."""
        return self.p50, self.p95, self.p99, self.max, self.count

    def as_json(self) -> dict[str, float]:
        """Plain types only."""
        return dataclasses.asdict(self)


STATS = ['p50', 'p95', 'p99', 'max', 'samples']


def number(value: float) -> str:
    """Three digits that matter, without an exponent where that is possible."""
    if not math.isfinite(value):
        return '-'
    if value == 0 or abs(value) >= 100:
        return f'{value:.0f}'
    return f'{value:.3g}' if abs(value) < 1e-3 else f'{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}'


def alternate(ways: dict[str, Callable[[int], Any]], rounds: int, warm_up: int = 20) -> dict[str, np.ndarray]:
    """Times several ways of doing one thing, in turn, so that noise hits all of them alike.

    Args:
        ways: name to a function that is given the round's number.
        rounds: calls of each that count; `warm_up` more go before them.

    Returns:
        Name to (rounds,) milliseconds. The order of the ways is turned around each round.
    """
    names = list(ways)
    spent = {name: np.empty(rounds) for name in names}
    for index in range(-warm_up, rounds):
        for name in names if index % 2 else reversed(names):
            begin = time.perf_counter()
            ways[name](index)
            duration = time.perf_counter() - begin
            if index >= 0:
                spent[name][index] = duration * 1e3
    return spent


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """All threads of this process, and those and the processes that it starts meanwhile, on one core."""
    before, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    _bind({max(before)})
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        _bind(before)
        cv2.setNumThreads(threads)


def _bind(cores: set[int]) -> None:
    for thread in os.listdir('/proc/self/task'):
        with contextlib.suppress(ProcessLookupError):  # ended meanwhile
            os.sched_setaffinity(int(thread), cores)


def synthetic_card(input_wh: tuple[int, int], **preprocess: Any) -> ModelCard:
    """A card without a model file, for what needs preprocessing rules only."""
    image = TensorSpec('images', 'float32', (1, 3, input_wh[1], input_wh[0]))
    output = TensorSpec('output0', 'float32', (1, 84, 8400))
    return ModelCard(
        'synthetic',
        Path('synthetic.onnx'),
        '',
        (ImageInput(image, 'NCHW', input_wh, PreprocessSpec(**preprocess)),),
        (output,),
        DetectionSpec({'predictions': 'output0'}, 'yolov8'),
        tuple(f'class {index}' for index in range(80)),
    )


def save_plot(figure: Any, options: Options, name: str, result: Result) -> None:
    """Write a plot beside the results."""
    Path(options.results).mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(Path(options.results) / f'{name}.png', dpi=110)
    plt.close(figure)
    result.plots.append(f'{name}.png')


def stacked_bars(axes: Any, bars: dict[str, dict[str, float]], unit: str) -> None:
    """Horizontal bars, one a row, made of named parts; negative parts are left out."""
    parts = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    for row, bar in enumerate(bars.values()):
        left = 0.0
        for part, value in bar.items():
            if value <= 0:
                continue
            color = COLORS[parts.index(part) % len(COLORS)]
            axes.barh(row, value, left=left, color=color, edgecolor='white', height=0.6)
            left += value
        axes.text(left, row, f' {number(left)} {unit}', va='center')
    for index, part in enumerate(parts):
        axes.barh(0, 0, color=COLORS[index % len(COLORS)], label=part)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(axis='x', alpha=0.3)
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.18), ncols=min(len(parts), 4), frameon=False)
