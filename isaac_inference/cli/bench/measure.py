# SPDX-License-Identifier: Apache-2.0
"""Measures engines: how long, how many a second, how much memory and energy."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isaac_inference.engines import Engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.agreement.interleaved import time_in_turn
from isaac_inference.evaluation.picture_feeds import picture_feeds
from isaac_inference.evaluation.timing_stats import Ratio, TimingStats, ratio_of_blocks
from isaac_inference.hardware.power import PowerReading, measure_power
from isaac_inference.models import ModelCard, ValueRole

_SEED = 1
_COARSE = 16  # px of a patch; pictures are smooth at large and noisy at small
_NOISE = 12
_IN_FLIGHT = 2  # frames


@dataclass(frozen=True)
class BenchSettings:
    """How an engine is measured.

    Attributes:
        runs: timings, rounded up to whole blocks.
        seconds: no further block is begun after so many, with all engines and at each batch size.
        warm_up: calls before.
        block: timings of one engine before it is the other's turn.
        power_seconds: how long the power is measured; 0: not at all.

    Raises:
        ConfigError: a value out of its range.
    """

    runs: int = 1000
    seconds: float = 10.0
    warm_up: int = 20
    block: int = 20
    power_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (('runs', 1), ('warm_up', 0), ('block', 1)):
            if getattr(self, name) < least:
                raise ConfigError(f'{name}: got {getattr(self, name)}, expected {least} or more')
        if not self.seconds > 0 or not self.power_seconds >= 0:
            raise ConfigError(
                f'seconds, power_seconds: got {self.seconds} and {self.power_seconds}, expected more than 0'
            )


@dataclass(frozen=True, eq=False)
class Measurement:
    """One engine at one batch size.

    Attributes:
        engine: its name.
        batch: images at once.
        wall: time of `Engine.infer` with host arrays, copies included, ms.
        samples: (n,) those times in the order they were taken.
        throughput: images a second, one `infer` after the other.
        in_flight: images a second with two frames in flight, results left on the GPU; None without a GPU.
        gpu: time of the network on the GPU by CUDA events, ms; None without a GPU.
        enqueue: time until copies and network are handed to the GPU, ms; None without a GPU.
        device_memory: bytes on the GPU by what they are for; empty without a GPU.
        host_bytes: resident memory of this process; 0 where the system does not tell.
        power: power and energy of one `infer`.
    """

    engine: str
    batch: int
    wall: TimingStats
    samples: np.ndarray
    throughput: float
    in_flight: float | None
    gpu: TimingStats | None
    enqueue: TimingStats | None
    device_memory: Mapping[str, int]
    host_bytes: int
    power: PowerReading

    def to_dict(self) -> dict[str, Any]:
        """For JSON; without the single timings."""
        return {
            'engine': self.engine,
            'batch': self.batch,
            'throughput': self.throughput,
            'throughput_two_in_flight': self.in_flight,
            'wall_ms': self.wall.to_dict(),
            'gpu_ms': None if self.gpu is None else self.gpu.to_dict(),
            'enqueue_ms': None if self.enqueue is None else self.enqueue.to_dict(),
            'device_memory_bytes': dict(self.device_memory),
            'host_bytes': self.host_bytes,
            'power': self.power.to_dict(),
        }


def measure(engine: Engine, batch: int = 1, settings: BenchSettings | None = None) -> Measurement:
    """Measures one open engine; raises ConfigError when it does not take so many images at once."""
    return measure_in_turn({'model': engine}, batch, settings)[0]['model']


def measure_in_turn(
    engines: Mapping[str, Engine], batch: int = 1, settings: BenchSettings | None = None
) -> tuple[dict[str, Measurement], Ratio | None]:
    """Measures open engines block by block in turn.

    Args:
        engines: name -> engine; two of them, 'model' and 'against', give a ratio.
        batch: images at once, for all.
        settings: None for the defaults.

    Returns:
        (name -> its measurement, p50 of 'against' over p50 of 'model').

    Raises:
        ConfigError: a model does not take so many images at once.
    """
    settings = settings or BenchSettings()
    calls: dict[str, Callable[[], object]] = {}
    feeds: dict[str, dict[str, np.ndarray]] = {}
    for name, engine in engines.items():
        feeds[name] = bench_feeds(engine.card, batch)
        calls[name] = _call(engine, feeds[name])
        for _ in range(settings.warm_up):
            calls[name]()
    blocks = time_in_turn(calls, runs=settings.runs, block=settings.block, seconds=settings.seconds)
    measured, names = {}, {engine.name for engine in engines.values()}
    for name, engine in engines.items():
        samples = np.concatenate(blocks[name])
        gpu_ms, enqueue_ms = _gpu_times(engine, feeds[name], settings.runs, settings.seconds)
        measured[name] = Measurement(
            engine=engine.name if len(names) == len(engines) else f'{engine.name}, {name}',
            batch=batch,
            wall=_stats(samples),
            samples=samples,
            throughput=batch * 1e3 / float(samples.mean()),
            in_flight=_in_flight(engine, feeds[name], batch, settings.runs, settings.seconds),
            gpu=TimingStats.of(gpu_ms),
            enqueue=TimingStats.of(enqueue_ms),
            device_memory=_device_memory(engine),
            host_bytes=_host_bytes(),
            power=_power(engine, calls[name], settings),
        )
    ratio = ratio_of_blocks(blocks['against'], blocks['model']) if {'model', 'against'} <= blocks.keys() else None
    return measured, ratio


def bench_feeds(card: ModelCard, batch: int = 1, seed: int = _SEED) -> dict[str, np.ndarray]:
    """`batch` different pictures, the same ones each time, as the model's inputs: smooth patches with noise on top,
    through the card's preprocessing, so that values are as in use.

    Raises:
        ConfigError: the model does not take so many images at once.
    """
    if batch < 1:
        raise ConfigError(f'batch: got {batch}, expected 1 or more')
    if batch > 1 and not card.dynamic_batch:
        raise ConfigError(
            f'{card.name}: batch {batch}: the model takes one image at a time ({card.images[0].tensor.describe()}); '
            'export it with a dynamic batch, or measure batch 1 only'
        )
    prepare, random = picture_feeds(card), np.random.default_rng(seed)
    width, height = card.input_wh
    images = []
    for _ in range(batch):
        coarse = random.integers(0, 256, (-(-height // _COARSE), -(-width // _COARSE), 3), np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noise = random.integers(-_NOISE, _NOISE + 1, smooth.shape, np.int16)
        images.append(prepare(np.clip(smooth + noise, 0, 255).astype(np.uint8))[0])
    beside = {
        item.tensor.name: item.constant(card.input_wh, batch)
        for item in card.value_inputs
        if item.role is not ValueRole.DEPTH
    }
    return {
        name: np.concatenate([image[name] for image in images]) for name in images[0] if name not in beside
    } | beside


def _call(engine: Engine, feeds: Mapping[str, np.ndarray]) -> Callable[[], object]:
    return lambda: engine.infer(feeds)


def _stats(samples: np.ndarray) -> TimingStats:
    stats = TimingStats.of(samples)
    if stats is None:
        raise ConfigError('runs: nothing was measured, expected 1 or more')
    return stats


def on_gpu(engine: Engine) -> bool:
    """True for an engine that takes and gives arrays on the GPU."""
    return bool(getattr(engine, 'takes_device_arrays', False))


def _gpu_times(
    engine: Any, feeds: Mapping[str, np.ndarray], runs: int, seconds: float
) -> tuple[list[float], list[float]]:
    """(GPU ms of the network alone, ms of the call that hands copies and network over), one frame at a time; empty
    without a GPU.
    """
    if not on_gpu(engine):
        return [], []
    from isaac_inference.cuda.device import gpu
    from isaac_inference.cuda.timer import GpuTimer

    timer = GpuTimer(gpu(_ordinal(engine)))
    gpu_ms: list[float] = []
    enqueue_ms: list[float] = []
    end = time.perf_counter() + seconds
    for _ in range(runs):
        start = time.perf_counter()
        outputs = engine.enqueue(feeds, timer)
        enqueue_ms.append(1e3 * (time.perf_counter() - start))
        _wait(outputs)
        gpu_ms += timer.collect()
        if time.perf_counter() >= end:
            break
    return gpu_ms, enqueue_ms


def _in_flight(engine: Any, feeds: Mapping[str, np.ndarray], batch: int, runs: int, seconds: float) -> float | None:
    """Images a second when the next frame is handed over before the last one is done; None without a GPU."""
    if not on_gpu(engine):
        return None
    flying: deque[Mapping[str, Any]] = deque()
    start = time.perf_counter()
    done = 0
    while done < runs and time.perf_counter() - start < seconds:
        flying.append(engine.enqueue(feeds))
        if len(flying) == _IN_FLIGHT:
            _wait(flying.popleft())
            done += 1
    while flying:
        _wait(flying.popleft())
        done += 1
    return batch * done / (time.perf_counter() - start)


def _wait(outputs: Mapping[str, Any]) -> None:
    """Until the results are on the device; those of one frame share an event."""
    next(iter(outputs.values())).ready.synchronize()


def _device_memory(engine: Any) -> dict[str, int]:
    """What the engine says of its memory, the pool's use and peak, and what is used on the whole GPU, bytes."""
    if not on_gpu(engine):
        return {}
    from isaac_inference.cuda.device import gpu

    device = gpu(_ordinal(engine))
    free, total = device.memory()
    return {
        **{str(purpose): round(mib * 2**20) for purpose, mib in engine.memory.items()},
        'pool used': device.pool.used,
        'pool peak': device.pool.peak,
        'used on the whole GPU': total - free,
    }


def _power(engine: Engine, call: Callable[[], object], settings: BenchSettings) -> PowerReading:
    if not settings.power_seconds:
        return PowerReading(reason='not asked for')
    return measure_power(call, _ordinal(engine) if on_gpu(engine) else None, settings.power_seconds)


def _ordinal(engine: Any) -> int:
    """The GPU's number in the engine's settings."""
    return int(getattr(getattr(engine, 'settings', None), 'device', 0))


def _host_bytes() -> int:
    """Resident memory of this process."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path('/proc/self/status').read_text(encoding='utf-8').splitlines()
        return int(next(line for line in lines if line.startswith('VmRSS:')).split()[1]) * 1024
    return 0


def layer_times(engine: Any, runs: int = 50) -> tuple[list[tuple[str, float]], str]:
    """(layer and its mean ms, in the model's order; why there is none)."""
    profile = getattr(engine, 'profile_layers', None)
    if profile is None:
        return [], f'times of single layers: {engine.name} does not tell them; use the TensorRT backend'
    return list(profile(runs)), ''
