# SPDX-License-Identifier: Apache-2.0
"""Builds a plan, TensorRT's serialized engine, from an ONNX file."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.build.profiles import add_profile
from isaac_inference.engines.tensorrt.build.progress import Reporter, make_monitor
from isaac_inference.engines.tensorrt.build.timing_cache import keep_timings, timing_path, use_timings
from isaac_inference.engines.tensorrt.graph_facts import GraphFacts, graph_facts
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said, trt_logger
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.store.engine_cache import ProfileShapes

_log = logging.getLogger(__name__)

_UNKNOWN_OPERATOR = re.compile(r'(?:No importer registered for op|getPluginCreator could not find plugin):? ?(\w+)')
_SHOWN = 5  # nodes named for each operator
_DURATIONS = ('a minute', 'two minutes', 'three minutes', 'six minutes', 'ten minutes', 'a quarter of an hour')


def build_plan(
    source: Path,
    shapes: Mapping[str, ProfileShapes],
    settings: TensorRtSettings,
    device: Any,
    reporter: Reporter,
    cancelled: Callable[[], bool] = lambda: False,
) -> bytes:
    """Build an engine for the GPU that this runs on; takes seconds to many minutes.

    Args:
        source: the ONNX file; weights beside it are found.
        shapes: the optimization profile, from `profile_shapes`.
        settings: how to build.
        device: the `cuda.device.Gpu` to build for.
        reporter: told how far it is.
        cancelled: asked between two steps (TensorRT 10 and later); true ends the build.

    Returns:
        The plan's bytes.

    Raises:
        EngineError: operators that TensorRT doesn't have, a profile that doesn't fit, or a failed build; the message
            holds what TensorRT said.
        DeviceMemoryError: the GPU's memory was used up.
        ConfigError: settings that this TensorRT or GPU doesn't have.
    """
    trt, logger, facts = compat.load(), trt_logger(), graph_facts(source)
    with device.current(), TRT_LOG.collect() as errors:
        free, total = device.memory()
        _log.info('%s: %.0f of %.0f MiB of GPU memory are free', source.name, free / 2**20, total / 2**20)
        compat.init_plugins(trt, logger)
        builder = make_or_raise(lambda: trt.Builder(logger), 'builder', errors)
        network = make_or_raise(lambda: compat.create_network(trt, builder, settings), 'network', errors)
        parse_model(trt, trt.OnnxParser(network, logger), source, facts)
        config = make_or_raise(builder.create_builder_config, 'builder configuration', errors)
        compat.configure(trt, builder, config, settings)
        compat.allow_precisions(trt, config, network, facts, settings)
        add_profile(builder, config, network, shapes)
        path = timing_path(settings.cache_dir, trt.__version__, device.name, _dotted(device.compute_capability))
        use_timings(config, path)

        def stop() -> bool:
            return TRT_LOG.interrupted or cancelled()

        monitor = None
        if compat.can_monitor(trt):
            monitor = make_monitor(trt, reporter.advance, stop)
            config.progress_monitor = monitor
        duration = _DURATIONS[settings.level]
        reporter.enter(
            'building',
            f'TensorRT {trt.__version__} for {device.name}, optimization level {settings.level}, '
            f'{network.num_layers} layers; about {duration} for a small detector',
        )
        plan = builder.build_serialized_network(network, config)
        if TRT_LOG.interrupted:
            TRT_LOG.interrupted = False
            raise KeyboardInterrupt
        if plan is None or not plan.nbytes:
            raise build_error(source, errors, device, cancelled())
        keep_timings(config, path)
        return bytes(plan)


def parse_model(trt: Any, parser: Any, source: Path, facts: GraphFacts) -> None:
    """Parse an ONNX file into the parser's network; EngineError names every operator and node that it can't take."""
    if parser.parse_from_file(str(source)):
        return
    told = [compat.parser_error(trt, parser.get_error(index)) for index in range(parser.num_errors)]
    plugins = compat.plugin_names(trt)
    unknown = {name for name in set(facts.operators) - plugins if not parser.supports_operator(name)}
    texts: list[str] = []
    for node, name, operator, text in told:
        if 0 <= node < len(facts.operators):
            operator, name = operator or facts.operators[node], name or facts.names[node]
        found = _UNKNOWN_OPERATOR.search(text)
        if found:
            unknown.add(found[1])
        elif operator not in unknown:
            where = f'{operator or "?"} (node {name or node})' if operator or name else 'the graph'
            texts.append(f'{where}: {" ".join(text.split())}')
    lines = [f'operator {name} is unknown to it ({_nodes_text(facts, name)})' for name in sorted(unknown)]
    lines += dict.fromkeys(texts)
    raise EngineError(
        f'{source}: TensorRT {trt.__version__} cannot take this model: {"; ".join(lines) or "no reason was given"}. '
        'Export it with other operators (another opset, without custom layers or post-processing), use a newer '
        'TensorRT, or run it with backend: onnxruntime'
    )


def _nodes_text(facts: GraphFacts, operator: str) -> str:
    """The nodes of an operator, the first few by name."""
    found = [
        name or f'number {index}'
        for index, (kind, name) in enumerate(zip(facts.operators, facts.names, strict=True))
        if kind == operator
    ]
    more = f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
    return f'nodes: {", ".join(found[:_SHOWN])}{more}' if found else 'in a subgraph'


def make_or_raise(make: Callable[[], Any], what: str, errors: list[str]) -> Any:
    """What TensorRT makes.

    Args:
        make: the call.
        what: what it makes, for the message.
        errors: TensorRT's last errors; an exception's text is added.

    Raises:
        EngineError: it gave nothing or, with some versions, raised.
    """
    made = None
    try:
        made = make()
    except (TypeError, RuntimeError) as error:
        errors.append(str(error))
    if made is None:
        raise EngineError(
            f'TensorRT could not make a {what}; check that the driver fits its CUDA version{said(errors)}'
        )
    return made


def build_error(source: Path, errors: list[str], device: Any, cancelled: bool) -> EngineError:
    """Why a build gave nothing.

    Args:
        source: the ONNX file.
        errors: TensorRT's last errors.
        device: the `cuda.device.Gpu`.
        cancelled: whether the end was asked for.

    Returns:
        A DeviceMemoryError where memory was short, else an EngineError; to be raised.
    """
    if cancelled:
        return EngineError(f'{source.name}: the build was cancelled')
    free, _ = device.memory()
    if is_out_of_memory(errors):
        asked = [int(number) for error in errors for number in re.findall(r'(\d{4,}) bytes', error)]
        return DeviceMemoryError(f'building {source.name}{said(errors)}', max(asked, default=free), free)
    return EngineError(
        f'{source}: TensorRT built no engine ({free / 2**20:.0f} MiB of GPU memory are free now){said(errors)}. '
        'Try another preset, precision or tactic_sources'
    )


def _dotted(compute_capability: tuple[int, int]) -> str:
    return '.'.join(str(part) for part in compute_capability)
