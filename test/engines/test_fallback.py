# SPDX-License-Identifier: Apache-2.0
"""What is tried when the GPU's memory is used up, with engines that only open or fail to."""

from __future__ import annotations

import pytest
from support.onnx_models import write_model

from isaac_inference.engines import Engine
from isaac_inference.engines.fallback import open_with_fallback
from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, DeviceMemoryError, EngineError
from isaac_inference.models import read_card


class Opens(Engine):
    """Opens, or raises."""

    def __init__(self, card, backend, error):
        self.backend = backend
        super().__init__(card)
        self.error = error

    def _open(self):
        if self.error is not None:
            raise self.error

    def _infer(self, feeds):
        return {}

    def _close(self):
        pass


class Tries:
    """Makes engines, remembers what was asked for, and lets those fail that `error_of` has an error for."""

    def __init__(self, error_of):
        self.error_of, self.asked = error_of, []

    def __call__(self, card, backend, *, settings):
        chosen, on_cpu = settings['tensorrt'], settings['onnxruntime']
        batches = chosen.min_batch, chosen.opt_batch, chosen.max_batch
        self.asked.append((backend, batches, on_cpu.providers, on_cpu.threads))
        name = 'tensorrt' if backend == 'auto' else backend
        return Opens(card, name, self.error_of(name, chosen.max_batch))


FULL = DeviceMemoryError('m: activations', 900 << 20, 100 << 20)
BATCHES = TensorRtSettings(min_batch=2, opt_batch=4, max_batch=8)


@pytest.fixture
def card(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolov8', dynamic=True)
    path.with_suffix('.yaml').write_text('{labels: [a, b, c], input_size: [96, 64]}')
    return read_card(path)


def attempt(card, tries, fallback=True, settings=BATCHES):
    said = []
    both = {'tensorrt': settings, 'onnxruntime': OnnxRuntimeSettings(providers=('cuda',), threads=1)}
    engine = open_with_fallback(card, 'auto', both, said.append, fallback=fallback, create=tries)
    return engine, said


def test_nothing_changes_where_it_fits(card):
    engine, said = attempt(card, tries := Tries(lambda name, batch: None))
    assert engine.is_open and engine.notes == () and said == []
    assert tries.asked == [('auto', (2, 4, 8), ('cuda',), 1)]


def test_the_batch_is_halved_until_it_fits(card):
    engine, said = attempt(card, tries := Tries(lambda name, batch: FULL if batch > 2 else None))
    assert [batches for _, batches, *_ in tries.asked] == [(2, 4, 8), (2, 4, 4), (2, 2, 2)]
    assert engine.is_open and list(engine.notes) == said and len(said) == 2
    assert 'trying again with at most 4 images at once, because: m: activations: needs 900.0 MiB' in said[0]


def test_at_last_the_cpu_runs_it(card):
    engine, said = attempt(card, tries := Tries(lambda name, batch: FULL if name == 'tensorrt' else None))
    assert [batches[2] for _, batches, *_ in tries.asked] == [8, 4, 2, 1, 1]
    assert tries.asked[-1][0] == 'onnxruntime' and tries.asked[-1][2:] == (('cpu',), 1)
    assert engine.backend == 'onnxruntime' and 'runs on the CPU instead' in engine.notes[-1]


def test_a_smaller_engine_that_nobody_built_leads_to_the_cpu(card):
    missing = EngineError('no engine; auto_build is off')
    errors = {8: FULL, 4: missing}
    engine, said = attempt(card, Tries(lambda name, batch: errors.get(batch) if name == 'tensorrt' else None))
    assert engine.backend == 'onnxruntime' and 'auto_build is off' in said[-1]


def test_a_fixed_batch_goes_straight_to_the_cpu(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))
    tries = Tries(lambda name, batch: FULL if name == 'tensorrt' else None)
    engine, _ = attempt(card, tries, settings=TensorRtSettings())
    assert engine.backend == 'onnxruntime' and len(tries.asked) == 2


@pytest.mark.parametrize(
    'error, fallback',
    [(FULL, False), (EngineError('corrupt'), True), (ConfigError('wrong'), True)],
)
def test_what_is_raised_as_it_is(card, error, fallback):
    tries = Tries(lambda name, batch: error)
    with pytest.raises(type(error)) as caught:
        attempt(card, tries, fallback)
    assert caught.value is error and len(tries.asked) == 1


def test_a_cpu_that_can_not_either_says_so(card):
    broken = EngineError('unknown operator')
    with pytest.raises(EngineError, match='unknown operator'):
        attempt(card, Tries(lambda name, batch: FULL if name == 'tensorrt' else broken))
