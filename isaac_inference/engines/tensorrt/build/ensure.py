# SPDX-License-Identifier: Apache-2.0
"""Gives the engine of a model: out of the cache, or built, checked against the model and kept.

entry = ensure_engine(read_card('model.onnx'), TensorRtSettings(precision='fp16'))
plan = entry.read()
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from isaac_inference.engines.reference import Reference, cpu_reference
from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.build.check import check_plan
from isaac_inference.engines.tensorrt.build.plan import build_plan
from isaac_inference.engines.tensorrt.build.profiles import profile_shapes
from isaac_inference.engines.tensorrt.build.progress import ProgressSink, Reporter
from isaac_inference.engines.tensorrt.graph_facts import graph_facts
from isaac_inference.engines.tensorrt.loader import Plan
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings, build_command
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.store.engine_cache import CacheEntry, EngineCache, EngineKey
from isaac_inference.store.user_cache import cache_dir

_log = logging.getLogger(__name__)

_LEAST_AGREEMENT, _LEAST_AGREEMENT_INT8 = 0.98, 0.95


def engine_key(card: ModelCard, settings: TensorRtSettings) -> EngineKey:
    """What the engine of a model depends on, on this machine.

    Raises:
        ConfigError: TensorRT is missing, or the settings don't fit the model.
        DeviceError: there is no GPU.
    """
    trt, device = compat.load(), _device(settings)
    return EngineKey(
        model=card.name,
        model_sha256=card.sha256,
        precision=settings.precision,
        shapes=profile_shapes(card, settings),
        options=settings.key_options(),
        tensorrt=trt.__version__,
        gpu=device.name,
        compute_capability='.'.join(str(part) for part in device.compute_capability),
    )


def find_engine(card: ModelCard, settings: TensorRtSettings) -> CacheEntry | None:
    """The engine in the cache, checked; None where it must be built. Raises as `engine_key` and `EngineCache.find`."""
    entry = EngineCache(settings.cache_dir).find(engine_key(card, settings))
    return entry if entry is not None and _agrees(entry, card, settings) else None


def ensure_engine(
    card: ModelCard,
    settings: TensorRtSettings,
    progress: ProgressSink | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    reference: Reference = cpu_reference,
) -> CacheEntry:
    """The engine of a model; builds it where the cache has none, which takes seconds to many minutes.

    Of several processes that want one engine, one builds and the others wait. A new engine is kept only when its
    outputs are finite and agree with the model's (`check.check_plan`).

    Args:
        card: the model.
        settings: how to build it, and where to keep it.
        progress: told about twice a second, from a thread of its own.
        cancelled: asked now and then; true ends the wait, and with TensorRT 10 and later the build.
        reference: runs the model itself, which a new engine is compared with.

    Raises:
        ConfigError: TensorRT is missing, or the settings don't fit the model, this TensorRT or this GPU.
        EngineError: the engine is missing and `auto_build` is off, can't be built, or doesn't agree with the model.
    """
    cache, key = EngineCache(settings.cache_dir), engine_key(card, settings)
    entry = cache.find(key)
    if entry is not None and _agrees(entry, card, settings):
        return entry
    if not settings.auto_build:
        raise EngineError(
            f'{card.name}: no engine for {key.gpu} and TensorRT {key.tensorrt} with these settings in {cache.folder}, '
            f'and auto_build is off; build it once with: {build_command(card, settings)}'
        )
    with Reporter(card.name, progress or (lambda _: None)) as reporter:
        return cache.obtain(
            key,
            lambda: _build(card, settings, reporter, cancelled, reference),
            accept=lambda found: _agrees(found, card, settings),
            on_wait=lambda holder: reporter.enter('waiting', f'{holder} builds this engine'),
            cancelled=cancelled,
        )


def least_agreement(card: ModelCard, settings: TensorRtSettings) -> float:
    """The cosine similarity that every output of a new engine must reach: the settings', or what the graph's types
    call for.
    """
    if settings.min_agreement >= 0.0:
        return settings.min_agreement
    return _LEAST_AGREEMENT_INT8 if graph_facts(card.path).quantized else _LEAST_AGREEMENT


def _device(settings: TensorRtSettings) -> Any:
    """The GPU to build for; DeviceError where there is none."""
    from isaac_inference.cuda.device import gpu

    return gpu(settings.device)


def _agrees(entry: CacheEntry, card: ModelCard, settings: TensorRtSettings) -> bool:
    """True for an engine that agreed well enough when it was built, and for one that could not be compared.

    Raises:
        EngineError: it agreed less; building it again would end in the same numbers.
    """
    agreement, wanted = entry.metadata.get('agreement'), least_agreement(card, settings)
    if agreement is not None and agreement < wanted:
        raise EngineError(
            f'{entry.path}: this engine agreed to {agreement:.4f} with its model when it was built, expected '
            f'{wanted:g} or more (min_agreement); convert the model with higher precision, or lower '
            'min_agreement'
        )
    return True


def _build(
    card: ModelCard,
    settings: TensorRtSettings,
    reporter: Reporter,
    cancelled: Callable[[], bool],
    reference: Reference,
) -> tuple[bytes, Mapping[str, Any]]:
    """A checked plan and what to note about it."""
    if read_model_file(card.path).sha256 != card.sha256:
        raise EngineError(f'{card.path}: the file changed since its card was read; configure again')
    device, start = _device(settings), time.monotonic()
    with _source(card, settings, reporter) as source:
        size = source.stat().st_size
        plan = build_plan(source, profile_shapes(card, settings), settings, device, reporter, cancelled)
    build_s = time.monotonic() - start
    reporter.enter('checking', f'{len(plan) / 2**20:.1f} MiB, built in {build_s:.0f} s')
    tried = replace(settings, contexts=1, cuda_graph=False)
    with reference(card) as run_model, TensorRtEngine(card, Plan(plan, 'the new engine'), tried) as made:
        outputs = check_plan(
            card,
            made.infer,
            run_model,
            least_agreement(card, settings),
            batch=settings.opt_batch,
            order_free=graph_facts(card.path).selects,
        )
    note = {
        'build_s': round(build_s, 1),
        'onnx_bytes': size,
        'agreement': round(min(outputs.values()), 6) if outputs else None,
        'outputs': {name: round(value, 6) for name, value in outputs.items()},
        'preset': settings.preset,
    }
    reporter.enter('finished', f'{len(plan) / 2**20:.1f} MiB, built in {build_s:.0f} s')
    return plan, note


@contextmanager
def _source(card: ModelCard, settings: TensorRtSettings, reporter: Reporter) -> Iterator[Path]:
    """The ONNX file to build: the model's own, or one converted to float16 that lives as long as the context."""
    facts = graph_facts(card.path) if settings.precision == 'fp16' else None
    if facts is None or facts.float16 or facts.quantized:
        if facts is not None:
            kind = 'float16' if facts.float16 else 'Q/DQ'
            _log.info('%s: the graph holds %s already and is built as it is', card.name, kind)
        yield card.path
        return
    from isaac_inference.models.precision.half.float16 import to_float16

    reporter.enter('converting', 'to float16')
    with tempfile.TemporaryDirectory(prefix='fp16-', dir=cache_dir('models', settings.cache_dir)) as folder:
        target = Path(folder) / card.path.name
        to_float16(card.path, target)
        yield target
