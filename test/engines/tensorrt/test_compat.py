# SPDX-License-Identifier: Apache-2.0
"""What is done for TensorRT 8.6, 10 and 11, on the smallest stand-ins for their objects (test_names has the names)."""

from __future__ import annotations

import enum
import sys
from types import SimpleNamespace

import pytest

from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.graph_facts import GraphFacts
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError

FLAGS = ('TF32', 'SPARSE_WEIGHTS', 'VERSION_COMPATIBLE', 'GPU_FALLBACK')
OLD_FLAGS = (*FLAGS, 'FP16', 'INT8', 'PREFER_PRECISION_CONSTRAINTS')


def module(version):
    """A tensorrt module with the enumerations that the code names."""
    old = version.split('.')[0] != '11'
    creation = {'8': 'EXPLICIT_BATCH', '10': 'EXPLICIT_BATCH STRONGLY_TYPED'}.get(
        version.split('.')[0], 'STRONGLY_TYPED'
    )
    sources = 'EDGE_MASK_CONVOLUTIONS JIT_CONVOLUTIONS' + ' CUDNN' * old
    return SimpleNamespace(
        __version__=version,
        NetworkDefinitionCreationFlag=enum.IntEnum('NetworkDefinitionCreationFlag', creation, start=0),
        BuilderFlag=enum.IntEnum('BuilderFlag', OLD_FLAGS if old else FLAGS, start=0),
        TacticSource=enum.IntEnum('TacticSource', sources, start=3),
        DataType=enum.IntEnum('DataType', 'FLOAT HALF', start=0),
        DeviceType=enum.IntEnum('DeviceType', 'GPU DLA', start=0),
        MemoryPoolType=enum.IntEnum('MemoryPoolType', 'WORKSPACE', start=0),
        ProfilingVerbosity=enum.IntEnum('ProfilingVerbosity', 'LAYER_NAMES_ONLY DETAILED', start=0),
        PreviewFeature=enum.IntEnum('PreviewFeature', 'PROFILE_SHARING_0806', start=0),
        HardwareCompatibilityLevel=enum.IntEnum('HardwareCompatibilityLevel', 'NONE AMPERE_PLUS', start=0),
    )


class Config:
    """Notes what it is told."""

    def __init__(self):
        self.set, self.cleared, self.limits, self.sources, self.features = set(), set(), {}, None, set()

    def set_flag(self, flag):
        self.set.add(flag.name)

    def clear_flag(self, flag):
        self.cleared.add(flag.name)

    def set_preview_feature(self, feature, wanted):
        self.features |= {feature.name} if wanted else set()

    def set_memory_pool_limit(self, pool, size):
        self.limits[pool.name] = size

    def set_tactic_sources(self, bits):
        self.sources = bits


class Network:
    def __init__(self, *names):
        self.layers = [SimpleNamespace(name=name, precision=None) for name in names]
        self.num_layers = len(names)

    def get_layer(self, index):
        return self.layers[index]


@pytest.mark.parametrize(
    ('version', 'dla', 'flags'),
    [('8.6.0', -1, ['EXPLICIT_BATCH']), ('10.13.3.9', -1, ['STRONGLY_TYPED']), ('10.3.0', 0, []), ('11.4.0', -1, [])],
)
def test_networks(version, dla, flags):
    trt = module(version)
    builder = SimpleNamespace(create_network=lambda bits: bits)
    made = compat.create_network(trt, builder, TensorRtSettings(dla_core=dla))
    assert made == sum(1 << int(trt.NetworkDefinitionCreationFlag[name]) for name in flags)


@pytest.mark.parametrize(
    ('version', 'facts', 'flags'),
    [
        ('8.6.0', GraphFacts(), set()),
        ('8.6.0', GraphFacts(float16=True), {'FP16'}),
        ('8.6.0', GraphFacts(quantized=True), {'INT8'}),
        ('8.6.0', GraphFacts(float16=True, quantized=True), {'FP16', 'INT8'}),
        (
            '8.6.0',
            GraphFacts(float16=True, float32_nodes=frozenset({'exp'})),
            {'FP16', 'PREFER_PRECISION_CONSTRAINTS'},
        ),
        ('10.13.3.9', GraphFacts(float16=True, quantized=True), set()),
        ('11.4.0.106', GraphFacts(float16=True, quantized=True), set()),
    ],
)
def test_types_are_allowed_where_the_network_is_weakly_typed(version, facts, flags):
    trt, config, network = module(version), Config(), Network('conv', 'exp')
    compat.allow_precisions(trt, config, network, facts, TensorRtSettings())
    assert config.set == flags
    kept = [layer.name for layer in network.layers if layer.precision is not None]
    assert kept == (['exp'] if 'PREFER_PRECISION_CONSTRAINTS' in flags else [])


def test_dla_of_tensorrt_10_gets_the_types_it_needs():
    config = Config()
    compat.allow_precisions(
        module('10.3.0'), config, Network(), GraphFacts(quantized=True), TensorRtSettings(dla_core=0)
    )
    assert config.set == {'INT8', 'FP16'}


@pytest.mark.parametrize('version', ['8.6.0', '10.13.3.9', '11.4.0.106'])
def test_every_setting_arrives(version):
    trt, config = module(version), Config()
    settings = TensorRtSettings(
        preset='best',
        workspace_mib=512,
        tactic_sources=('JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS'),
        detailed_profile=True,
        sparsity=True,
        version_compatible=True,
        hardware_compatible=True,
        dla_core=1,
    )
    compat.configure(trt, SimpleNamespace(num_DLA_cores=2), config, settings)
    assert config.builder_optimization_level == 5
    assert config.limits == {'WORKSPACE': 512 << 20}
    assert config.sources == 1 << 3 | 1 << 4
    assert config.profiling_verbosity.name == 'DETAILED'
    assert config.hardware_compatibility_level.name == 'AMPERE_PLUS'
    assert (config.default_device_type.name, config.DLA_core) == ('DLA', 1)
    assert config.set == {'SPARSE_WEIGHTS', 'VERSION_COMPATIBLE', 'GPU_FALLBACK'}


def test_defaults_leave_tensorrt_its_own():
    config = Config()
    compat.configure(module('8.6.0'), None, config, TensorRtSettings())
    assert (config.set, config.limits, config.sources) == (set(), {}, None)
    assert config.profiling_verbosity.name == 'LAYER_NAMES_ONLY'


@pytest.mark.parametrize(('tf32', 'cleared'), [(False, {'TF32'}), (True, set())])
def test_float32_is_not_tf32_unless_asked(tf32, cleared):
    config = Config()
    compat.configure(module('10.13.3.9'), None, config, TensorRtSettings(tf32=tf32))
    assert config.cleared == cleared


@pytest.mark.parametrize(('version', 'features'), [('8.6.0', {'PROFILE_SHARING_0806'}), ('10.3.0', set())])
def test_several_contexts_may_share_a_profile(version, features):
    config = Config()
    compat.configure(module(version), None, config, TensorRtSettings())
    assert config.features == features


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            TensorRtSettings(tactic_sources=('CUDNN',)),
            'TensorRT 11.4.0 has no CUDNN; it has EDGE_MASK_CONVOLUTIONS, JIT',
        ),
        (TensorRtSettings(dla_core=0), 'dla_core: got 0, but this GPU has 0 DLA cores'),
    ],
)
def test_what_this_tensorrt_or_gpu_lacks(settings, message):
    with pytest.raises(ConfigError, match=message):
        compat.configure(module('11.4.0'), SimpleNamespace(num_DLA_cores=0), Config(), settings)


@pytest.fixture
def fresh():
    compat.load.cache_clear()
    yield
    compat.load.cache_clear()


def test_a_missing_tensorrt(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(ConfigError, match='TensorRT cannot be imported.*install'):
        compat.load()


@pytest.mark.parametrize('version', ['8.5.3', '7.2.1.6'])
def test_an_old_tensorrt(fresh, monkeypatch, version):
    monkeypatch.setitem(sys.modules, 'tensorrt', SimpleNamespace(__version__=version))
    with pytest.raises(EngineError, match=f'TensorRT {version} is too old, expected 8.6'):
        compat.load()
