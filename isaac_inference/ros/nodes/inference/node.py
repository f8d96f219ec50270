# SPDX-License-Identifier: Apache-2.0
"""InferenceNode: runs the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from isaac_inference.engines import Engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.checks import non_finite
from isaac_inference.engines.fallback import open_with_fallback
from isaac_inference.engines.registry import BACKENDS, on_cpu
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models import DetectionSpec, ModelCard
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame, is_on_device
from isaac_inference.ros.nodes.inference.backend_parameters import backend_settings, with_backend_groups
from isaac_inference.ros.nodes.inference.engine_build import EngineBuild, build_where_missing
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters

if TYPE_CHECKING:
    from isaac_inference.cuda.timer import GpuTimer


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
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to and publisher of the tensors.')


class InferenceNode(ModelNode):
    """`input_tensors` to `output_tensors`, both TensorList; what travels with a frame is passed on unchanged.

    A frame may have any number of rows, such as one for each person: what the engine does not take at once is run in
    parts, which is said once. One without rows gives outputs without rows.
    """

    Parameters = InferenceParameters
    stage = 'inference'

    def __init__(self, node_name: str = 'inference', **kwargs: object) -> None:
        self._engine: Engine | None = None
        self._batches: BatchRunner | None = None
        self._build: EngineBuild | None = None
        self._timer: GpuTimer | None = None
        self._assumed: list[str] = []  # keys in diagnostics
        self._says_parts = False
        self._suspicions: list[str] = []  # standing problems that the probe found
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen = self.parameters
        settings = backend_settings(chosen)
        self._outputs = self.advertise(TENSORS, 'output_tensors', chosen.tensor_qos)
        self.subscribe(
            TENSORS,
            'input_tensors',
            chosen.tensor_qos,
            self._on_tensors,
            on_device=lambda: self._engine is not None and self._engine.takes_device_arrays,
            inline=self._only_enqueues,
        )
        self._say_what_is_assumed()
        self._build = build_where_missing(self.card, chosen.backend, settings, tolerant=chosen.fallback)
        if self._build is None:
            self.on_prepared()
        else:
            self.prepare(self._build)

    def on_prepared(self) -> None:
        chosen = self.parameters
        backend, settings = chosen.backend, backend_settings(chosen)
        if self._build is not None and self._build.failure:
            self.health.problem('fallback', f'runs on the CPU, because: {self._build.failure}')
            backend, settings = on_cpu(settings)
        engine = open_with_fallback(self.card, backend, settings, self.get_logger().warning, fallback=chosen.fallback)
        self._engine, self._batches = engine, BatchRunner(engine)
        for note in engine.notes:
            self.health.problem('fallback', note)
        engine.warm_up()
        self.device = engine.device
        if chosen.probe:
            self._probe(engine)
        if engine.takes_device_arrays:
            self._timer = _gpu_timer(engine.gpu_ordinal)
        self.get_logger().info(
            f'model {self.card.name}: {_kind(self.card)}, {self.card.class_count} classes, input '
            f'{self.card.input_wh[0]}x{self.card.input_wh[1]}, on {self.device}'
        )

    def on_teardown(self) -> None:
        engine, self._engine = self._engine, None
        self._build = self._timer = self._batches = None
        self._says_parts = False
        self.health.show('batch', None)
        self.health.clear('fallback')
        while self._suspicions:
            self.health.clear(self._suspicions.pop())
        self.health.show('probe', None)
        while self._assumed:
            self.health.show(self._assumed.pop(), None)
        if engine is not None:
            engine.close()

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

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        engine, batches = self._engine, self._batches
        if engine is None or batches is None:
            raise FrameError('not_configured', 'a frame arrived while the engine was being freed')
        frame.check_card(self.card.id)
        try:
            outputs = self._run(engine, batches, frame.tensors)
        except EngineError as error:
            raise FrameError('engine_error', str(error)) from error
        if self.parameters.check_finite and (bad := non_finite({name: np.asarray(outputs[name]) for name in outputs})):
            raise FrameError(
                'non_finite_output',
                f'model {self.card.name}: NaN or infinity in {", ".join(bad)}; check '
                "the model's precision and normalisation, or set check_finite to false if such outputs are intended",
            )
        timings = (*frame.timings, clock.finish())
        self._outputs.publish(TensorFrame(frame.header, outputs, frame.auxiliary, timings, frame.card or self.card.id))
        self.report_timings(frame.header, timings)

    def _only_enqueues(self, frame: TensorFrame) -> bool:
        """Whether all there is to do for a frame is to start work on the GPU."""
        takes = self._timer is not None and self._outputs.wanted_on_device and not self.parameters.check_finite
        return takes and all(map(is_on_device, frame.tensors.values()))

    def _run(self, engine: Engine, batches: BatchRunner, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's outputs: on the GPU where the next stage takes them there, without waiting for them."""
        if self._timer is not None and self._outputs.wanted_on_device and batches.fits(tensors):
            outputs = engine.enqueue(tensors, self._timer)
            self.health.measured('gpu_ms', self._timer.collect())
            return outputs
        found = batches.infer(tensors)
        if batches.in_parts and not self._says_parts:
            self._says_parts = True
            self.health.show('batch', f'{batches.at_once} at once')
            self.get_logger().info(f'model {self.card.name}: {_parts_text(batches, self.card)}')
        return found


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


def _gpu_timer(ordinal: int) -> GpuTimer:
    from isaac_inference.cuda.device import gpu  # needs PyCUDA
    from isaac_inference.cuda.timer import GpuTimer

    return GpuTimer(gpu(ordinal))


main = node_main(InferenceNode)
