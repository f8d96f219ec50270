# SPDX-License-Identifier: Apache-2.0
"""InferenceNode: runs the model."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.engines import Engine, create_engine
from isaac_inference.engines.checks import non_finite
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.nodes.model_node import ModelNode, ModelParameters
from isaac_inference.runtime.node import StageClock
from isaac_inference.runtime.parameters import group, param
from isaac_inference.runtime.process import node_main
from isaac_inference.runtime.qos import QosParameters
from isaac_inference.runtime.tensor_frame import TENSORS, TensorFrame


@dataclass(frozen=True)
class InferenceParameters(ModelParameters):
    """Parameters of the inference node."""

    backend: str = param('auto', 'Engine that runs the model: "onnxruntime", or "auto" for the best one installed.')
    providers: tuple[str, ...] = param((), 'ONNX Runtime execution providers in order of preference; empty chooses.')
    threads: int = param(0, 'CPU threads of the engine; 0 takes all cores.', unit='threads', minimum=0)
    spinning: bool = param(True, 'Engine threads wait for work actively while a model runs: faster, for more CPU time.')
    check_finite: bool = param(
        False,
        'Drop a frame whose outputs hold NaN or infinity anywhere, at the cost of reading them '
        'all once more; decoders refuse such values in any case where a detection depends on them.',
        live=True,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to and publisher of the tensors.')


class InferenceNode(ModelNode):
    """`input_tensors` to `output_tensors`, both TensorList; what travels with a frame is passed on unchanged."""

    Parameters = InferenceParameters
    stage = 'inference'

    def __init__(self, node_name: str = 'inference', **kwargs: object) -> None:
        self._engine: Engine | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen = self.parameters
        settings = {name: getattr(chosen, name) for name in ('providers', 'threads', 'spinning')}
        self._engine = create_engine(self.card, chosen.backend, shared=settings)
        self._engine.open()
        self._engine.warm_up()
        self.device = self._engine.device
        self._outputs = self.advertise(TENSORS, 'output_tensors', chosen.tensor_qos)
        self.subscribe(TENSORS, 'input_tensors', chosen.tensor_qos, self._on_tensors)
        for note in self.card.notes:
            self.get_logger().warning(f'model {self.card.name}: {note}')
        self.get_logger().info(
            f'model {self.card.name}: {self.card.decoder}, {self.card.class_count} classes, input '
            f'{self.card.input_wh[0]}x{self.card.input_wh[1]}, on {self.device}'
        )

    def on_teardown(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        engine = self._engine
        if engine is None:
            raise FrameError('not_configured', 'a frame arrived while the engine was being freed')
        try:
            outputs = engine.infer(frame.tensors)
        except EngineError as error:
            raise FrameError('engine_error', str(error)) from error
        if self.parameters.check_finite and (bad := non_finite(outputs)):
            raise FrameError(
                'non_finite_output',
                f'model {self.card.name}: NaN or infinity in {", ".join(bad)}; check '
                "the model's precision and normalisation, or set check_finite to false if the model means to",
            )
        timings = (*frame.timings, clock.finish())
        self._outputs.publish(TensorFrame(frame.header, outputs, frame.auxiliary, timings))
        self.report_timings(frame.header, timings)


main = node_main(InferenceNode)
