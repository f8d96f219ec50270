# SPDX-License-Identifier: Apache-2.0
"""InferenceNode: runs the model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from isaac_inference.engines import Engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.checks import non_finite
from isaac_inference.engines.fallback import open_with_fallback
from isaac_inference.engines.registry import BACKENDS, choose_backend, on_cpu
from isaac_inference.engines.settings import BackendSettings
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models import DetectionSpec, ModelCard
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame, is_on_device
from isaac_inference.ros.nodes.inference.backend_parameters import backend_settings, with_backend_groups
from isaac_inference.ros.nodes.inference.engine_build import EngineBuild, build_where_missing
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.stream_inputs import StreamFrame, StreamInputs, StreamPlan
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.serving.scheduler.scheduler import SAFETY
from isaac_inference.serving.streams.device_batches import Result
from isaac_inference.serving.streams.limits import check_batch, settings_for
from isaac_inference.serving.streams.names import UNNAMED, check_streams
from isaac_inference.serving.streams.shared_model import SharedModel

_NAMES = ', '.join(f'"{backend.name}"' for backend in BACKENDS)


@with_backend_groups
@dataclass(frozen=True)
class InferenceParameters(ModelParameters):
    """Parameters of the inference node; each backend's are a group under its name."""

    RENAMED: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            'providers': 'onnxruntime.providers',
            'threads': 'onnxruntime.threads',
            'spinning': 'onnxruntime.spinning',
        }
    )

    backend: str = param('auto', f'Engine that runs the model: {_NAMES}, or "auto" for the best one that can run here.')
    fallback: bool = param(
        False,
        'Where the GPU has too little memory, or its engine cannot be built, run a smaller batch, and finally the '
        'CPU, instead of staying inactive.',
    )
    probe: bool = param(
        True,
        'Before the first frame, run the model on two pictures of ours and warn of what cannot be right; costs about '
        'two runs and a half.',
    )
    check_finite: bool = param(
        False,
        'Drop a frame whose outputs hold NaN or infinity anywhere, at the cost of reading them '
        'all once more; decoders refuse such values in any case where a detection depends on them.',
        live=True,
    )
    streams: tuple[str, ...] = param(
        (),
        'Cameras that share this model: each has its topics <stream>/input_tensors and <stream>/output_tensors, and '
        'its newest frame wins. Empty: one stream, input_tensors and output_tensors.',
    )
    max_batch: int = param(
        0,
        'Frames that run together at most, one of each stream; 0: as many as the engine takes, up to one of each '
        'stream. A TensorRT engine of a model with a dynamic batch is built for so many, unless tensorrt.max_batch '
        'says otherwise.',
        minimum=0,
    )
    batch_wait_ms: float = param(
        0.0,
        'How long the engine, when it is free, waits for frames of further streams; 0: it takes what is there.',
        unit='ms',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    priority: int = param(
        1,
        'Class of this model among those of its process: 0 best effort, 1 normal, 2 high, 3 safety. A lower class does '
        'not start while a higher one waits, or would be late for it.',
        minimum=0,
        maximum=SAFETY,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to and publisher of the tensors.')


class InferenceNode(ModelNode):
    """`input_tensors` to `output_tensors`, both TensorList; what travels with a frame is passed on unchanged.

    With `streams` there are these two topics for each of them. When the engine is free it takes the newest frame of
    each stream that has one, those that wait longest first, and runs together what fits together. A frame that does
    not fit is dropped alone.

    A frame may have any number of rows, such as one for each person: what the engine does not take at once is run in
    parts, which is said once. One without rows gives outputs without rows.
    """

    Parameters = InferenceParameters
    stage = 'inference'

    def __init__(self, node_name: str = 'inference', **kwargs: object) -> None:
        self._shared: SharedModel | None = None  # while there is an engine
        self._build: EngineBuild | None = None
        self._settings: dict[str, BackendSettings] = {}
        self._inputs: StreamInputs | None = None
        self._outputs: dict[str, Publisher[TensorFrame]] = {}
        self._frame_ids: dict[str, str] = {}
        self._assumed: list[str] = []  # keys in diagnostics
        self._says_parts = False
        self._suspicions: list[str] = []  # standing problems that the probe found
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen = self.parameters
        streams = check_streams(chosen.streams)
        self._settings = self._settings_for(len(streams))
        self._outputs = {
            stream: self.advertise(TENSORS, _topic(stream, 'output_tensors'), chosen.tensor_qos) for stream in streams
        }
        plan = StreamPlan(
            topics={stream: _topic(stream, 'input_tensors') for stream in streams},
            handler=self._on_frames,
            turn=self._turn,
            most=lambda: self._most,
            wait_s=lambda: self.parameters.batch_wait_ms / 1e3 if self._most > 1 else 0.0,
            on_device=lambda: self._shared is not None and self._shared.engine.takes_device_arrays,
            inline=self._only_enqueues,
        )
        self._inputs = self.subscribe_streams(TENSORS, chosen.tensor_qos, plan)
        self._say_what_is_assumed()
        self._build = build_where_missing(self.card, chosen.backend, self._settings, tolerant=chosen.fallback)
        if self._build is None:
            self.on_prepared()
        else:
            self.prepare(self._build)

    def on_prepared(self) -> None:
        chosen = self.parameters
        backend, settings = chosen.backend, self._settings
        if self._build is not None and self._build.failure:
            self.health.problem('fallback', f'runs on the CPU, because: {self._build.failure}')
            backend, settings = on_cpu(settings)
        engine = open_with_fallback(self.card, backend, settings, self.get_logger().warning, fallback=chosen.fallback)
        shared = self._shared = SharedModel(
            engine, list(self._outputs), self.get_fully_qualified_name(), chosen.priority
        )
        for note in engine.notes:
            self.health.problem('fallback', note)
        streams = len(self._outputs)
        asked = min(chosen.max_batch or streams, streams)
        if chosen.max_batch and not engine.notes:  # a fallback has said already that it takes fewer
            check_batch(asked, shared.runner.most, self.card)
        shared.prepare(asked)
        self._say_how_many(shared)
        self.device = engine.device
        if chosen.probe:
            self._probe(engine)
        self.get_logger().info(
            f'model {self.card.name}: {_kind(self.card)}, {self.card.class_count} classes, input '
            f'{self.card.input_wh[0]}x{self.card.input_wh[1]}, on {self.device}'
        )

    def on_teardown(self) -> None:
        shared, self._shared = self._shared, None
        self._build = self._inputs = None
        self._says_parts = False
        self._outputs, self._frame_ids = {}, {}
        for key in ('batch', 'frames_at_once'):
            self.health.show(key, None)
        self.health.clear('fallback')
        while self._suspicions:
            self.health.clear(self._suspicions.pop())
        self.health.show('probe', None)
        while self._assumed:
            self.health.show(self._assumed.pop(), None)
        if shared is not None:
            shared.close()

    def on_report(self) -> None:
        self.health.standing('starving', self._shared.starving() if self._shared is not None else None)

    def _say_what_is_assumed(self) -> None:
        """Notes and assumptions of the card, here for the whole graph; the latter in diagnostics too."""
        for note in self.card.notes:
            self.get_logger().warning(f'model {self.card.name}: {note}')
        for assumption in self.card.assumptions:
            self.get_logger().warning(f'model {self.card.name}: {assumption.text()}')
            self._assumed.append(f'assumed.{assumption.field}')
            self.health.show(self._assumed[-1], assumption.value)

    def _probe(self, engine: Engine) -> None:
        """Say what a run on pictures of ours shows; hints, which may well be right, stay out of the diagnostics' level.

        As for `warm_up`, feeds and outputs are in host memory, whatever the engine runs on.
        """
        from isaac_inference.evaluation.probe import probe  # only where it is wanted

        report = probe(self.card, engine)
        self.health.show('probe', report.summary())
        for finding in report.findings:
            text = f'model {self.card.name} on a picture of a street: {finding.sentence}'
            if finding.is_hint:
                self.get_logger().warning(text)
                continue
            self._suspicions.append(f'implausible.{finding.name}')
            self.health.problem(self._suspicions[-1], text)

    def _settings_for(self, streams: int) -> dict[str, BackendSettings]:
        """The backends' settings, for as many frames at once as the parameters ask for."""
        chosen = self.parameters
        settings = backend_settings(chosen)
        backend = choose_backend(chosen.backend)
        asked = settings_for(backend.choose_settings(settings), self.card, chosen.max_batch, streams, backend.name)
        return {**settings, backend.name: asked.for_priority(chosen.priority)}

    def _say_how_many(self, shared: SharedModel) -> None:
        """How many frames run together, where streams have names; once a warning where it is but one."""
        if list(self._outputs) == [UNNAMED]:
            return
        self.health.show('frames_at_once', shared.most)
        if shared.why_one:
            remedy = 'export it with a dynamic batch axis' if not self.card.dynamic_batch else 'set max_batch to 1'
            self.get_logger().warning(
                f'model {self.card.name}: the frames of {len(self._outputs)} streams run one after the other: '
                f'{shared.why_one}; {remedy}'
            )

    @property
    def _most(self) -> int:
        """How many frames to take at once."""
        return 1 if self._shared is None else self._shared.most

    @contextlib.contextmanager
    def _turn(self) -> Iterator[int]:
        """While this node may run its model; gives how many frames it may take."""
        shared = self._shared
        if shared is None:
            yield 1
            return
        turn = shared.begin(lambda: not self.is_stopping)
        if turn is None:
            yield 0
            return
        if shared.is_contended:
            self.health.measured('turn_wait_ms', [turn.waited_s * 1e3])
        try:
            yield shared.most
        finally:
            shared.end()

    def _on_frames(self, frames: Sequence[StreamFrame]) -> None:
        begin = time.perf_counter()
        usable = [frame for frame in frames if self._is_usable(frame)]
        shared = self._shared
        if not usable or shared is None:
            return
        outcomes = shared.run(
            [frame.item.tensors for frame in usable],
            [frame.stream for frame in usable],
            on_device=self._wanted_on_device,
        )
        shared.end()  # publishing keeps no other model waiting
        self._measure(shared, len(usable))
        spent_ms = (time.perf_counter() - begin) * 1e3
        for frame, outcome in zip(usable, outcomes, strict=True):
            frame.clock.spent_ms = spent_ms
            with self.work(frame.clock):
                self._give_out(frame, outcome)

    def _measure(self, shared: SharedModel, count: int) -> None:
        """Figures of a run of so many frames."""
        if gpu_ms := shared.collect_gpu_ms():
            self.health.measured('gpu_ms', gpu_ms)
        if len(self._outputs) > 1:
            self.health.measured('batch', [count])
        if shared.runner.in_parts and not self._says_parts:
            self._says_parts = True
            self.health.show('batch', f'{shared.runner.at_once} at once')
            self.get_logger().info(f'model {self.card.name}: {_parts_text(shared.runner, self.card)}')

    def _is_usable(self, frame: StreamFrame) -> bool:
        """Whether a frame is one of this model; where not, it is dropped."""
        try:
            if self._shared is None:
                raise FrameError('not_configured', 'a frame arrived while the engine was being freed')
            frame.item.check_card(self.card.id)
        except FrameError as error:
            with self.work(frame.clock):  # which counts it
                raise error
            return False
        if frame.stream != UNNAMED:
            self._watch_frame_id(frame)
        return True

    def _watch_frame_id(self, frame: StreamFrame) -> None:
        """Note a stream whose frame_id changes: two cameras may publish one topic."""
        found, known = frame.item.header.frame_id, self._frame_ids.get(frame.stream)
        self._frame_ids[frame.stream] = found
        if known is not None and found != known and self._inputs is not None:
            self._inputs.health(frame.stream).noted(
                'frame_id_changed',
                f'frame_id is now {found!r}, before it was {known!r}: do two cameras publish '
                f'{_topic(frame.stream, "input_tensors")}? Each result has the frame_id of its own image',
                say_once=True,
            )

    def _give_out(self, frame: StreamFrame, outcome: Result) -> None:
        """Publish a frame's outputs on the topic of its stream."""
        if isinstance(outcome, FrameError):
            raise outcome
        if isinstance(outcome, EngineError):
            raise FrameError('engine_error', str(outcome)) from outcome
        if self.parameters.check_finite and (bad := non_finite({name: np.asarray(outcome[name]) for name in outcome})):
            raise FrameError(
                'non_finite_output',
                f'model {self.card.name}: NaN or infinity in {", ".join(bad)}; check '
                "the model's precision and normalisation, or set check_finite to false if such outputs are intended",
            )
        item = frame.item
        timings = (*item.timings, frame.clock.finish())
        made = TensorFrame(item.header, outcome, item.auxiliary, timings, item.card or self.card.id)
        self._outputs[frame.stream].publish(made)
        self.report_timings(item.header, timings)

    def _only_enqueues(self, frame: TensorFrame) -> bool:
        """Whether all there is to do for a frame is to start work on the GPU."""
        if self._shared is None or not self._shared.may_be_inline or self.parameters.check_finite:
            return False
        return self._wanted_on_device and all(map(is_on_device, frame.tensors.values()))

    @property
    def _wanted_on_device(self) -> bool:
        return any(publisher.wanted_on_device for publisher in self._outputs.values())


def _topic(stream: str, name: str) -> str:
    return name if stream == UNNAMED else f'{stream}/{name}'


def _parts_text(batches: BatchRunner, card: ModelCard) -> str:
    """Why frames of several images are run in parts, and what would change that."""
    text = f'frames of several images are run in parts, as it takes {batches.at_once} at once'
    if batches.failure:
        return f'{text}, although its file promises any number: {batches.failure}'
    if card.dynamic_batch:
        return f'{text}: that is how its engine is built; tensorrt.opt_batch and tensorrt.max_batch of this node say so'
    return f'{text}; export it with a dynamic batch axis to run them together'


def _kind(card: ModelCard) -> str:
    """What reads the model's outputs: the decoder of boxes, or the task."""
    return card.spec.decoder if isinstance(card.spec, DetectionSpec) else card.task.value.replace('_', ' ')


main = node_main(InferenceNode)
