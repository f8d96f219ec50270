# SPDX-License-Identifier: Apache-2.0
"""What the chain of a person detector and a top-down network costs beside the two networks themselves.

The bare way is the two ONNX Runtime sessions, with the engines' very options and one thread, on tensors that are there
already: the detector's once a frame, the top-down network's once for each person that was cropped, as its file takes
one image at once. Against them stand the stages without ROS (preprocess, decode and NMS, crops, keypoints), and the
real graph: all its nodes in one container, fed with 1280x720 photos by reference, and a client that waits for each
frame's keypoints. Time is CPU time of the whole process, in blocks that alternate.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from std_msgs.msg import Header

from benchmark.support.common import Figure, Options, Result, SkippedError, Table
from benchmark.support.ros import READY_S, ros
from isaac_inference.engines import Engine, create_engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.errors import ModelError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.bringup.clients.graph_client import GraphClient
from isaac_inference.ros.bringup.graph import CropModel, perception_graph
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.messages.image import image_frame_from_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.stages import Postprocessor, Preprocessor
from isaac_inference.stages.keypoints.belonging import left_out
from isaac_inference.stages.keypoints.crops import Cropper
from isaac_inference.stages.keypoints.decoder import TopDownDecoder
from isaac_inference.stages.keypoints.people import choose_people
from isaac_inference.stages.keypoints.placing import in_source

TITLE = 'Keypoints of people, behind a detector'
WH = (1280, 720)
ASKED = 1.25
DETECTOR = 'yolox_person_192'
TOP_DOWN = ('movenet_singlepose_lightning', 'blazepose_landmark_lite')
_THREADS = {'onnxruntime.threads': 1, 'onnxruntime.spinning': False}
_LOST_S = 10.0


@dataclass
class _Chain:
    """The two models without ROS, and what they are fed for each photo."""

    detector: Engine
    keypoints: Engine

    def __post_init__(self) -> None:
        first, second = self.detector.card, self.keypoints.card
        self._preprocess, self._detect = Preprocessor(first), Postprocessor(first)
        self._crop, self._decode = Cropper(second, 1.25), TopDownDecoder(second)
        self._runner = BatchRunner(self.keypoints)

    def stages(self, picture: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Everything that the graph does with a photo, but for its messages; what both models were fed."""
        tensors, letterbox = self._preprocess(picture)
        found = self._detect(self.detector.infer(tensors), letterbox)
        rows = list(choose_people(found.boxes, found.scores, WH, 8).rows)
        if not rows:
            return tensors, {}
        crops, letterboxes = self._crop(picture, ColorOrder.BGR, found.boxes[rows])
        points = in_source(self._decode.decode(self._runner.infer(crops)), letterboxes)
        left_out(points, found.boxes[rows], 0.3, 0.9)
        return tensors, crops

    def bare(self, fed: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> None:
        """The sessions alone."""
        tensors, crops = fed
        _session(self.detector).run(None, tensors)
        name = self.keypoints.card.image.tensor.name
        for row in range(len(crops[name]) if crops else 0):
            _session(self.keypoints).run(
                [spec.name for spec in self.keypoints.outputs], {name: crops[name][row : row + 1]}
            )


class _Client(GraphClient):
    """Sends photos, one when the keypoints of the last are there."""

    def __init__(self, node_name: str = 'people_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._arrived = threading.Condition()
        self._last = 0

    def feed(self, picture: np.ndarray) -> None:
        """Send one and wait for its keypoints."""
        now = self.get_clock().now()
        header = Header(stamp=now.to_msg(), frame_id='camera')
        self._inputs['image'].publish(image_frame_from_array(picture, 'bgr8', header))
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._last == now.nanoseconds, _LOST_S):
                raise RuntimeError(f'no keypoints within {_LOST_S:g} s; {self.explain()}')

    def _on_answer(self, topic: str, message: Any, clock: StageClock) -> None:
        if topic == KEYPOINTS_TOPIC:
            with self._arrived:
                self._last = stamp_ns(message.header)
                self._arrived.notify_all()


def run(options: Options) -> Result:
    """Each top-down network behind the detector."""
    result = Result('crops', TITLE)
    folder, threads = Path(options.model).parent, cv2.getNumThreads()
    pictures = options.photos(*WH, 16)
    table = Table(
        f'One thread, {WH[0]}x{WH[1]}, CPU time a frame [ms]',
        ['network', 'people a frame', 'bare sessions', 'stages', 'times bare', 'graph', 'times bare'],
    )
    cv2.setNumThreads(1)
    try:
        with ros():
            for stem in TOP_DOWN:
                _measure(result, table, folder, stem, pictures, options.pick(8, 3))
    finally:
        cv2.setNumThreads(threads)
    result.tables.append(table)
    return result


def _measure(
    result: Result, table: Table, folder: Path, stem: str, pictures: Sequence[np.ndarray], rounds: int
) -> None:
    first, second = _card(folder / f'{DETECTOR}.onnx'), _card(folder / f'{stem}.onnx')
    with (
        create_engine(first, 'onnxruntime', threads=1, spinning=False) as detector,
        create_engine(second, 'onnxruntime', threads=1, spinning=False) as keypoints,
        _graph(first, second) as client,
    ):
        chain = _Chain(detector, keypoints)
        fed = [chain.stages(picture) for picture in pictures]
        ways: dict[str, Callable[[int], object]] = {
            'bare': lambda index: chain.bare(fed[index]),
            'stages': lambda index: chain.stages(pictures[index]),
            'graph': lambda index: client.feed(pictures[index]),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(-1, rounds):
            for name, way in ways.items():
                begin = time.process_time()
                for index in range(len(pictures)):
                    way(index)
                if number >= 0:
                    spent[name].append(1e3 * (time.process_time() - begin) / len(pictures))
    bare, stages, graph = (float(np.median(spent[name])) for name in ways)
    people = sum(len(next(iter(crops.values()))) if crops else 0 for _, crops in fed) / len(pictures)
    table.add(stem, people, bare, stages, stages / bare, graph, graph / bare)
    result.data[stem] = {'people': people, 'bare_ms': bare, 'stages_ms': stages, 'graph_ms': graph}
    for what, value in (('stages', stages), ('graph', graph)):
        result.figures.append(
            Figure(
                f'{DETECTOR}, then {stem}: {what}, one thread',
                f'at most {ASKED:g} times the bare sessions',
                f'{value / bare:.3f} times ({value:.2f} ms against {bare:.2f} ms, {people:.1f} people a frame)',
                value / bare <= ASKED,
            )
        )


def _card(path: Path) -> ModelCard:
    try:
        return read_card(path)
    except ModelError as error:
        raise SkippedError(f'{path.name} is not beside the model given with --model: {error}') from error


def _session(engine: Engine) -> Any:
    return cast(Any, engine)._session  # without the engine's checks, but made with its very options


@contextlib.contextmanager
def _graph(first: ModelCard, second: ModelCard) -> Iterator[_Client]:
    specs = [
        replace(spec, parameters={**spec.parameters, **(_THREADS if 'inference' in spec.name else {})})
        for spec in perception_graph(model=str(first.path), crops=CropModel(str(second.path)), annotate=False)
    ]
    with (
        contextlib.closing(start_composed(specs)) as graph,
        contextlib.closing(_Client.start(graph.namespace, DetectionReadout(keypoints=True), pictures=False)) as client,
    ):
        graph.wait_until_ready(client, READY_S)
        yield cast(_Client, client)
