# SPDX-License-Identifier: Apache-2.0
"""What differs between TensorRT 8.6, 10 and 11, in one place; the rest of the code uses what all of them have.

8.6  The network is weakly typed: the builder may compute a layer in another type. FP16 and INT8 must be allowed by
     flags, and layers that the graph keeps in float32 are named to the builder.
10   The network is strongly typed when it is asked for: the graph's types are the engine's. Not on DLA, which needs
     the flags of 8.6. There is a progress monitor, and a parser error names its node and operator.
11   Always strongly typed; the precision flags, EXPLICIT_BATCH and the cuBLAS and cuDNN tactic sources are gone.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from isaac_inference.engines.tensorrt.graph_facts import GraphFacts
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError

_log = logging.getLogger(__name__)

OLDEST = (8, 6)
NOT_EVERYWHERE: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        'NetworkDefinitionCreationFlag.EXPLICIT_BATCH': (8, 10),
        'NetworkDefinitionCreationFlag.STRONGLY_TYPED': (10, 11),  # ignored by 11
        'BuilderFlag.FP16': (8, 10),
        'BuilderFlag.INT8': (8, 10),
        'BuilderFlag.PREFER_PRECISION_CONSTRAINTS': (8, 10),
        'ILayer.precision': (8, 10),
        'PreviewFeature.PROFILE_SHARING_0806': (8, 10),
        'IProgressMonitor': (10, 11),
        'IBuilderConfig.progress_monitor': (10, 11),
        'ParserError.node_name': (10, 11),
        'ParserError.node_operator': (10, 11),
        'IPluginRegistry.plugin_creator_list': (8, 10),
        'IPluginRegistry.all_creators': (10, 11),
    }
)
"""Every TensorRT name of this package that not all versions have, with the major versions that do."""


@functools.cache
def load() -> Any:
    """The tensorrt module; raises ConfigError where it is missing and EngineError where it is too old."""
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise ConfigError(
            f'TensorRT cannot be imported ({error}); install it: `pip install tensorrt`, or on a Jetson the package '
            'python3-libnvinfer of JetPack'
        ) from error
    if version(tensorrt) < OLDEST:
        raise EngineError(
            f'TensorRT {tensorrt.__version__} is too old, expected {OLDEST[0]}.{OLDEST[1]} or newer; on a Jetson '
            'install JetPack 6 or newer'
        )
    return tensorrt


def version(trt: Any) -> tuple[int, int]:
    """(major, minor) of a tensorrt module."""
    major, minor = (int(part) for part in trt.__version__.split('.')[:2])
    return major, minor


def strongly_typed(trt: Any, settings: TensorRtSettings) -> bool:
    """True when the graph's types are the engine's."""
    major = version(trt)[0]
    return major >= 11 or (major >= 10 and settings.dla_core < 0)


def create_network(trt: Any, builder: Any, settings: TensorRtSettings) -> Any:
    """An empty network with explicit batch, strongly typed where that can be asked for."""
    flags, flag, major = 0, trt.NetworkDefinitionCreationFlag, version(trt)[0]
    if major < 10:
        flags |= 1 << int(flag.EXPLICIT_BATCH)
    elif major == 10 and strongly_typed(trt, settings):
        flags |= 1 << int(flag.STRONGLY_TYPED)
    return builder.create_network(flags)


def allow_precisions(trt: Any, config: Any, network: Any, facts: GraphFacts, settings: TensorRtSettings) -> None:
    """Allow the types of the graph, where the network is not strongly typed.

    Without the flags the builder refuses, or computes in float32, what the graph holds in float16 or between Q/DQ
    nodes. With FP16 allowed it may also compute what the graph keeps in float32 in float16, so those layers are
    named; "prefer" and not "obey", since a layer may have no such kernel and a warning is better than no engine.
    """
    if strongly_typed(trt, settings):
        return
    flag = trt.BuilderFlag
    if facts.quantized:
        config.set_flag(flag.INT8)
    if not facts.float16 and settings.dla_core < 0:
        return
    config.set_flag(flag.FP16)
    kept = facts.float32_nodes if facts.float16 else frozenset()
    if kept:
        config.set_flag(flag.PREFER_PRECISION_CONSTRAINTS)
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            if layer.name in kept:
                layer.precision = trt.DataType.FLOAT


def configure(trt: Any, builder: Any, config: Any, settings: TensorRtSettings) -> None:
    """Set all of a builder configuration that comes from the settings; ConfigError for what this TensorRT lacks."""
    flag = trt.BuilderFlag
    config.builder_optimization_level = settings.level
    if settings.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if settings.tactic_sources:
        config.set_tactic_sources(_tactic_bits(trt, settings.tactic_sources))
    verbosity = trt.ProfilingVerbosity
    config.profiling_verbosity = verbosity.DETAILED if settings.detailed_profile else verbosity.LAYER_NAMES_ONLY
    if version(trt)[0] < 10:  # several contexts on one profile; later versions need not be asked
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    if not settings.tf32:  # on by default
        config.clear_flag(flag.TF32)
    if settings.sparsity:
        config.set_flag(flag.SPARSE_WEIGHTS)
    if settings.version_compatible:
        config.set_flag(flag.VERSION_COMPATIBLE)
    if settings.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if settings.dla_core >= 0:
        if settings.dla_core >= builder.num_DLA_cores:
            raise ConfigError(
                f'dla_core: got {settings.dla_core}, but this GPU has {builder.num_DLA_cores} DLA cores; set -1 for '
                'none'
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = settings.dla_core
        config.set_flag(flag.GPU_FALLBACK)


def init_plugins(trt: Any, logger: Any) -> None:
    """Register the plugins that TensorRT brings, such as EfficientNMS_TRT; before a model is parsed or an engine with
    plugins is loaded. May be called again.
    """
    trt.init_libnvinfer_plugins(logger, '')


def plugin_names(trt: Any) -> frozenset[str]:
    """Names of the registered plugins; an ONNX operator of such a name is one that the parser takes."""
    registry = trt.get_plugin_registry()
    creators = registry.all_creators if version(trt)[0] >= 10 else registry.plugin_creator_list
    return frozenset(creator.name for creator in creators or ())


def can_monitor(trt: Any) -> bool:
    """True when the builder reports its progress."""
    return version(trt)[0] >= 10


def parser_error(trt: Any, parser_error: Any) -> tuple[int, str, str, str]:
    """What a parser's error says: number of the node (-1: none), its name, its operator ('' where not known), text."""
    name = operator = ''
    if version(trt)[0] >= 10:
        name, operator = parser_error.node_name(), parser_error.node_operator()
    return parser_error.node(), name or '', operator or '', parser_error.desc()


def _tactic_bits(trt: Any, names: tuple[str, ...]) -> int:
    known = trt.TacticSource.__members__
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(
            f'tactic_sources: TensorRT {trt.__version__} has no {", ".join(missing)}; it has {", ".join(sorted(known))}'
        )
    return sum(1 << int(known[name]) for name in set(names))
