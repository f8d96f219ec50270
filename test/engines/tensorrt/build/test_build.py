# SPDX-License-Identifier: Apache-2.0
"""The build without a GPU: what a graph says, what a parser can't take, and when an engine is built at all."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from support.onnx_models import write_model

from isaac_inference.engines.tensorrt.build import ensure as build
from isaac_inference.engines.tensorrt.build import plan, timing_cache
from isaac_inference.engines.tensorrt.build.progress import PhaseTree, Reporter
from isaac_inference.engines.tensorrt.graph_facts import GraphFacts, graph_facts
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError, ModelError
from isaac_inference.models import read_card
from isaac_inference.store.engine_cache import EngineCache


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'cups.onnx', dynamic='batch'))


def write_graph(path, nodes, constants=()):
    image = helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 4, 4])
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph(nodes, 'g', [image], [output], list(constants))
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), str(path))
    return path


def test_facts_of_a_plain_graph(card):
    facts = graph_facts(card.path)
    assert (facts.float16, facts.quantized, facts.float32_nodes, facts.selects) == (False, False, frozenset(), False)
    assert len(facts.operators) == len(facts.names) and 'MatMul' in facts.operators


def test_facts_of_a_mixed_graph(tmp_path):
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    nodes = [
        helper.make_node('Cast', ['x'], ['h'], 'down', to=half),
        helper.make_node('Mul', ['h', 'w'], ['m'], 'mul'),
        helper.make_node('Cast', ['m'], ['f'], 'up', to=single),
        helper.make_node('Exp', ['f'], ['y'], 'exp'),
    ]
    weight = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float16), 'w')
    facts = graph_facts(write_graph(tmp_path / 'm.onnx', nodes, [weight]))
    assert facts.float16 and facts.float32_nodes == {'exp'}


def test_facts_of_a_quantized_graph(tmp_path):
    constants = [numpy_helper.from_array(np.float32(0.1), 's'), numpy_helper.from_array(np.int8(0), 'z')]
    nodes = [
        helper.make_node('QuantizeLinear', ['x', 's', 'z'], ['q'], 'q'),
        helper.make_node('DequantizeLinear', ['q', 's', 'z'], ['y'], 'dq'),
    ]
    facts = graph_facts(write_graph(tmp_path / 'm.onnx', nodes, constants))
    assert facts.quantized and not facts.float16


def test_facts_of_no_model(tmp_path):
    (tmp_path / 'm.onnx').write_bytes(b'\x08\xff')
    with pytest.raises(ModelError, match='cannot be read'):
        graph_facts(tmp_path / 'm.onnx')


FACTS = GraphFacts(operators=('Conv', 'Foo', 'Bar', 'Foo', 'Resize'), names=('c', 'f1', 'b', '', 'up'))


class Parser:
    """A parser that refuses: `errors` are (node, text), as TensorRT 8.6 gives them."""

    def __init__(self, *errors, unknown=('Foo', 'Bar', 'NMS_TRT')):
        self.errors, self.unknown, self.num_errors = errors, unknown, len(errors)

    def parse_from_file(self, path):
        return not self.errors

    def supports_operator(self, name):
        return name not in self.unknown

    def get_error(self, index):
        node, text = self.errors[index]
        return SimpleNamespace(
            node=lambda: node, desc=lambda: text, node_name=lambda: 'f1', node_operator=lambda: FACTS.operators[node]
        )


def trt_module(version='8.6.0', plugins=()):
    creators = [SimpleNamespace(name=name) for name in plugins]
    registry = SimpleNamespace(plugin_creator_list=creators, all_creators=creators)
    return SimpleNamespace(__version__=version, get_plugin_registry=lambda: registry)


@pytest.mark.parametrize('version', ['8.6.0', '10.13.3.9'])
def test_all_unsupported_operators_are_named_with_their_nodes(tmp_path, version):
    parser = Parser((1, 'No importer registered for op: Foo. Attempting to import as plugin.'))
    with pytest.raises(EngineError) as caught:
        plan.parse_model(trt_module(version), parser, tmp_path / 'm.onnx', FACTS)
    text = str(caught.value)
    assert 'operator Bar is unknown to it (nodes: b); operator Foo is unknown to it (nodes: f1, number 3)' in text
    assert 'backend: onnxruntime' in text and version in text and 'm.onnx' in text


def test_plugins_are_no_unknown_operators_and_other_errors_are_told_once(tmp_path):
    parser = Parser((4, 'Assertion failed: mode\n cubic'), (4, 'Assertion failed: mode  cubic'), unknown=('Foo', 'Bar'))
    with pytest.raises(EngineError) as caught:
        plan.parse_model(trt_module(plugins=('Foo', 'Bar')), parser, tmp_path / 'm.onnx', FACTS)
    assert 'this model: Resize (node up): Assertion failed: mode cubic. Export' in str(caught.value)


def test_a_parser_that_gives_no_reason(tmp_path):
    parser = Parser((0, ''))
    parser.num_errors, parser.unknown = 0, ()
    with pytest.raises(EngineError, match='no reason was given'):
        plan.parse_model(trt_module(), parser, tmp_path / 'm.onnx', FACTS)


def test_why_a_build_gave_nothing(tmp_path):
    device = SimpleNamespace(memory=lambda: (100 << 20, 200 << 20))
    source = tmp_path / 'm.onnx'
    full = ['Requested amount of GPU memory (1073741824 bytes) could not be allocated', 'OutOfMemory']
    error = plan.build_error(source, full, device, False)
    assert isinstance(error, DeviceMemoryError) and (error.needed, error.free) == (1 << 30, 100 << 20)
    assert 'needs 1024.0 MiB of GPU memory, 100.0 MiB are free' in str(error)
    other = plan.build_error(source, ['Could not find any implementation for node conv'], device, False)
    assert not isinstance(other, DeviceMemoryError)
    assert 'Could not find any implementation for node conv' in str(other) and 'tactic_sources' in str(other)
    assert 'cancelled' in str(plan.build_error(source, [], device, True))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A TensorRT and a GPU by name; plans are made of thin air, outputs by ONNX Runtime."""
    device = SimpleNamespace(name='GPU', compute_capability=(9, 0), memory=lambda: (1, 1), current=nullcontext)
    facts = SimpleNamespace(device=device, built=[], version='8.6.0', settings={'cache_dir': str(tmp_path / 'cache')})
    monkeypatch.setattr(build.compat, 'load', lambda: SimpleNamespace(__version__=facts.version))
    monkeypatch.setattr(build, '_device', lambda settings: facts.device)

    def build_plan(source, shapes, settings, device, reporter, cancelled):
        facts.built.append(source)
        return b'plan'

    monkeypatch.setattr(build, 'build_plan', build_plan)
    monkeypatch.setattr(build, 'TensorRtEngine', lambda *args: nullcontext(SimpleNamespace(infer=None)))
    monkeypatch.setattr(build, 'check_plan', lambda *args, **options: {'output0': 0.99})
    return facts


def test_the_second_time_nothing_is_built(card, machine):
    settings = TensorRtSettings(**machine.settings)
    assert build.find_engine(card, settings) is None
    entry = build.ensure_engine(card, settings)
    assert build.ensure_engine(card, settings) == entry == build.find_engine(card, settings)
    assert machine.built == [card.path]
    assert entry.metadata['agreement'] == 0.99 and entry.metadata['key']['gpu'] == 'GPU'


def test_another_tensorrt_gpu_or_setting_builds_again(card, machine):
    settings = TensorRtSettings(**machine.settings)
    build.ensure_engine(card, settings)
    machine.version = '10.0.1'
    build.ensure_engine(card, settings)
    machine.device = SimpleNamespace(**{**vars(machine.device), 'name': 'other'})
    build.ensure_engine(card, settings)
    build.ensure_engine(card, TensorRtSettings(max_batch=2, **machine.settings))
    build.ensure_engine(card, TensorRtSettings(contexts=2, priority='high', **machine.settings))
    assert len(machine.built) == 4


def test_without_auto_build_the_command_is_named(card, machine):
    settings = TensorRtSettings(
        auto_build=False, precision='fp16', min_wh=(96, 64), tactic_sources=('JIT_CONVOLUTIONS',), **machine.settings
    )
    with pytest.raises(EngineError) as caught:
        build.ensure_engine(card, settings)
    command = f'isaac-inference build {card.path} --precision fp16 --min-wh 96x64 --tactic-sources JIT_CONVOLUTIONS'
    assert command in str(caught.value) and machine.built == []


def test_an_engine_that_agreed_less_is_not_used(card, machine):
    build.ensure_engine(card, TensorRtSettings(min_agreement=0.9, **machine.settings))
    with pytest.raises(EngineError, match=r'agreed to 0.9900.*expected 0.995'):
        build.find_engine(card, TensorRtSettings(min_agreement=0.995, **machine.settings))


def test_an_engine_that_fails_the_check_is_not_kept(card, machine, monkeypatch):
    def refuse(*args, **options):
        raise EngineError('does not agree')

    monkeypatch.setattr(build, 'check_plan', refuse)
    settings = TensorRtSettings(**machine.settings)
    with pytest.raises(EngineError, match='does not agree'):
        build.ensure_engine(card, settings)
    assert EngineCache(settings.cache_dir).entries() == []


def test_a_new_engine_is_compared_with_the_reference_that_was_handed_in(card, machine, monkeypatch):
    compared = []

    def check_plan(card, run, model, *args, **options):
        compared.append(model)
        return {}

    monkeypatch.setattr(build, 'check_plan', check_plan)
    settings = TensorRtSettings(**machine.settings)
    entry = build.ensure_engine(card, settings, reference=lambda card: nullcontext('the model itself'))
    assert compared == ['the model itself'] and entry.metadata['agreement'] is None


def test_a_model_that_changed_is_not_built(card, machine):
    write_model(card.path, classes=5, dynamic='batch')
    with pytest.raises(EngineError, match='changed since its card was read'):
        build.ensure_engine(card, TensorRtSettings(**machine.settings))


def test_a_float16_graph_is_built_as_it_is(tmp_path, machine):
    card = read_card(write_model(tmp_path / 'half.onnx', dtype='float16'))
    build.ensure_engine(card, TensorRtSettings(precision='fp16', **machine.settings))
    assert machine.built == [card.path]


def test_a_float32_graph_is_cast_first(card, machine):
    pytest.importorskip('isaac_inference.models.precision.half.float16')
    build.ensure_engine(card, TensorRtSettings(precision='fp16', **machine.settings))
    assert machine.built != [card.path] and machine.built[0].name == card.path.name


def test_phases_make_one_fraction():
    tree = PhaseTree()
    assert tree.fraction() == 0.0
    tree.start('build', None, 2)
    tree.start('tactics', 'build', 4)
    tree.complete('tactics', 1)
    assert tree.fraction() == 0.25
    tree.finish('tactics')
    tree.complete('build', 0)
    tree.complete('unknown', 3)
    assert tree.fraction() == 0.5


def test_progress_is_told_and_logged_and_a_broken_sink_ends_nothing(caplog):
    told = []

    def sink(progress):
        told.append(progress)
        raise ValueError('broken')

    with caplog.at_level('INFO'), Reporter('cups', sink, log_every_s=0.0) as reporter:
        reporter.enter('building', 'level 3')
        reporter.advance(0.5)
        reporter.advance(0.2)
        assert reporter.now().fraction == 0.5
    assert told[-1].phase == 'building' and told[-1].message == 'level 3'
    assert 'could not be told' in caplog.text and 'cups: building for' in caplog.text


class Timings:
    """The part of a builder configuration that holds timings; a cache is a set of bytes."""

    def __init__(self, data=b'', usable=True):
        self.data, self.usable, self.cache = set(data), usable, None

    def create_timing_cache(self, data):
        return Timings(data)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache
        return self.usable or not cache.data

    def get_timing_cache(self):
        return self.cache

    def combine(self, other, ignore_mismatch):
        self.data |= other.data
        return True

    def serialize(self):
        return memoryview(bytes(sorted(self.data)))


def test_timings_of_several_builds_are_merged(tmp_path):
    path = timing_cache.timing_path(str(tmp_path), '8.6.0', 'NVIDIA H200', '9.0')
    assert path.name == '8.6.0_NVIDIA_H200_9.0.timing'
    first, second = Timings(), Timings()
    for config in (first, second):
        timing_cache.use_timings(config, path)
    first.cache.data, second.cache.data = {1, 2}, {2, 3}
    timing_cache.keep_timings(first, path)
    timing_cache.keep_timings(second, path)
    assert path.read_bytes() == b'\x01\x02\x03'


def test_timings_that_tensorrt_refuses_are_left_out(tmp_path, caplog):
    path = timing_cache.timing_path(str(tmp_path), '8.6.0', 'GPU', '9.0')
    path.write_bytes(b'old')
    config = Timings(usable=False)
    timing_cache.use_timings(config, path)
    assert config.cache.data == set() and 'refuses these timings' in caplog.text


@pytest.mark.parametrize(('quantized', 'asked', 'wanted'), [(False, -1.0, 0.98), (True, -1.0, 0.95), (True, 0.5, 0.5)])
def test_what_an_engine_must_agree_to(monkeypatch, quantized, asked, wanted):
    monkeypatch.setattr(build, 'graph_facts', lambda path: GraphFacts(quantized=quantized))
    card = SimpleNamespace(path='model.onnx')
    assert build.least_agreement(card, TensorRtSettings(min_agreement=asked)) == wanted
