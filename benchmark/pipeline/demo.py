# SPDX-License-Identifier: Apache-2.0
"""Where the demo's CPU time goes, and how many frames it shows.

The graph of `isaac-inference demo`, with its evaluation client and its video, runs in this process: once at the
camera's rate, as the demo does, and once a frame at a time, so that a node has the processor to itself while it works.
CPU time is that of each thread's own clock: a node's worker and executor threads bear its name, the simulated camera
has one of its own, and what no Python thread used went to the threads of ONNX Runtime, OpenCV and the middleware. Other
programs' load takes frames from the rate, and little from CPU time a frame: compare two versions by the latter, or by
rates that are measured in turn.

`model alone` is the ONNX Runtime session, with the options that the demo gives it, before the graph starts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.support.common import Figure, Options, Result, Table, number, plt, save_plot, stacked_bars
from benchmark.support.ros import READY_S, ros
from isaac_inference.cli.demo.command import RATE_HZ
from isaac_inference.cli.demo.video_recorder import VideoRecorder
from isaac_inference.engines import create_engine
from isaac_inference.evaluation import FrameRecord
from isaac_inference.models import read_card
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.evaluation.drive import drive_freely, drive_steps
from isaac_inference.ros.bringup.graph import DEMO_CAMERA, perception_graph
from isaac_inference.ros.bringup.runner import start_composed

TITLE = 'The demo'
SEED = 2
FRAME_S = 20.0
WARM_UP = 10  # frames
LIBRARIES = 'libraries'  # their threads, which belong to no node
OTHERS = 'client'  # of the command: it advances, waits and evaluates
ASKED_MS = {'sim_camera': 10.0, 'track': 0.5, 'pose': 2.0}  # CPU a frame of six objects, the node alone
NODES = (
    'sim_camera',
    'preprocess',
    'inference',
    'detection',
    'track',
    'pose',
    'annotate',
    'video_recorder',
    'evaluation_client',
)


@dataclass(frozen=True)
class Run:
    """One run: seconds, frames that the camera made and that the video shows, and what they took."""

    seconds: float
    frames: int
    shown: int
    cpu_ms: dict[str, float]  # by node, a frame of the camera
    work_ms: dict[str, float]  # by node, that of its working thread alone
    stages_ms: dict[str, float]  # by stage, p50 of wall-clock work

    @property
    def total_ms(self) -> float:
        """CPU of a frame."""
        return sum(self.cpu_ms.values())


def run(options: Options) -> Result:
    """As the demo runs, and a frame at a time."""
    result, frames = Result('demo', TITLE), options.pick(300, 90)
    model = options.pose_model_path()
    alone_ms = _model_alone(model, options.pick(100, 20))
    with ros():
        runs = [
            ('at the camera rate', _run(model, frames, step=False)),
            ('a frame at a time', _run(model, frames, step=True)),
        ]
    freely, stepped = runs[0][1], runs[1][1]
    for name, item in runs:
        table = Table(f'CPU time a frame of the camera, {name} [ms]', ['node', 'work', 'all its threads', 'share'])
        for node, spent in sorted(item.cpu_ms.items(), key=lambda pair: -pair[1]):
            table.add(node, item.work_ms.get(node, 0.0), spent, f'{100 * spent / item.total_ms:.0f} %')
        table.add('all', '', item.total_ms, '100 %')
        result.tables.append(table)
    stages = Table('Wall-clock time of a stage, p50 [ms]', ['stage', *(name for name, _ in runs)])
    for stage in freely.stages_ms:
        stages.add(stage, *(item.stages_ms.get(stage, float('nan')) for _, item in runs))
    stages.add('model alone', alone_ms, alone_ms)
    result.tables.append(stages)
    rate = freely.shown / freely.seconds
    result.figures.append(
        Figure(
            'Frames that the demo shows',
            f'for information; the camera makes up to {RATE_HZ:g} a second',
            f'{number(rate)} a second; {number(freely.frames / freely.seconds)} from the camera, '
            f'{number(freely.total_ms)} ms of CPU each',
            None,
        )
    )
    for node, asked in ASKED_MS.items():
        spent = stepped.work_ms[node]
        result.figures.append(
            Figure(
                f'{node}: CPU a frame of six objects',
                f'at most {asked:g} ms',
                f'{number(spent)} ms alone, {number(freely.work_ms[node])} ms in the running demo',
                spent <= asked,
            )
        )
    result.data = {'shown_per_s': rate, 'model_alone_ms': alone_ms, **{n: dataclasses.asdict(r) for n, r in runs}}
    figure, axes = plt.subplots(figsize=(11, 4))
    stacked_bars(axes, {name.replace(' ', '\n', 1): item.cpu_ms for name, item in runs}, 'ms')
    axes.set_xlabel('CPU time a frame [ms]')
    save_plot(figure, options, 'demo', result)
    return result


def _model_alone(model: str, runs: int) -> float:
    """p50 in ms of the model on noise."""
    card = read_card(model)
    generator = np.random.default_rng(0)
    with create_engine(card, 'onnxruntime', spinning=False) as engine:
        inputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in (item.tensor for item in card.inputs)}
        inputs = {name: generator.random(array.shape).astype(array.dtype) for name, array in inputs.items()}
        spent = []
        for _ in range(runs):
            begin = time.perf_counter()
            engine.infer(inputs)
            spent.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(spent))


def _run(model: str, frames: int, *, step: bool) -> Run:
    specs = perception_graph(
        model=model, simulator={'seed': SEED, 'rate_hz': RATE_HZ, 'step': step, **DEMO_CAMERA}, poses=True, track=True
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(start_composed(specs)) as graph,
        contextlib.closing(EvaluationClient.start(graph.namespace, AnswerTopics())) as client,
        contextlib.closing(
            VideoRecorder.start(graph.namespace, 'annotate/debug_image', Path(folder) / 'demo.mp4', RATE_HZ)
        ) as video,
    ):
        graph.wait_until_ready(client, READY_S)
        meter = _Meter(video)
        drive: Callable[..., list[FrameRecord]] = drive_steps if step else drive_freely
        records = drive(client, frames, warmup=WARM_UP, timeout_s=FRAME_S, advance=meter.advance)
        return meter.read(records)


class _Meter:
    """Reads the clocks when the warm-up is over, and again at the end."""

    def __init__(self, video: VideoRecorder) -> None:
        self._video, self._left = video, WARM_UP
        self._begin_s, self._shown, self._cpu_s = 0.0, 0, _cpu_s()

    def advance(self) -> None:
        """One more frame is done."""
        self._left -= 1
        if self._left == 0:
            self._begin_s, self._shown, self._cpu_s = time.monotonic(), self._video.frames, _cpu_s()

    def read(self, records: list[FrameRecord]) -> Run:
        """What the frames since then took."""
        seconds, shown = time.monotonic() - self._begin_s, self._video.frames - self._shown
        return _told(seconds, len(records), shown, self._cpu_s, _cpu_s(), records)


def _told(
    seconds: float,
    frames: int,
    shown: int,
    before: dict[str, float],
    after: dict[str, float],
    records: list[FrameRecord],
) -> Run:
    cpu_ms = dict.fromkeys((*NODES, LIBRARIES, OTHERS), 0.0)
    work_ms = dict.fromkeys(NODES, 0.0)
    for thread, spent_s in after.items():
        spent_ms = (spent_s - before.get(thread, 0.0)) / frames * 1e3
        node, _, role = thread.partition(' ')
        cpu_ms[node if node in cpu_ms else OTHERS] += spent_ms
        if node in work_ms and role != 'executor':
            work_ms[node] += spent_ms
    stages = sorted({stage for record in records for stage in record.stages_ms})
    p50 = {
        stage: float(np.median([record.stages_ms[stage] for record in records if stage in record.stages_ms]))
        for stage in stages
    }
    return Run(seconds, frames, shown, cpu_ms, work_ms, p50)


def _cpu_s() -> dict[str, float]:
    """CPU seconds of each Python thread by its name, and of all other threads of the process together."""
    spent = dict(_threads_s())
    return {**spent, LIBRARIES: time.process_time() - sum(spent.values())}


def _threads_s() -> Iterator[tuple[str, float]]:
    for thread in threading.enumerate():
        with contextlib.suppress(OSError):  # ended meanwhile
            if thread.ident is not None:
                yield thread.name, time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
