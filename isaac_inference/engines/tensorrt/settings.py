# SPDX-License-Identifier: Apache-2.0
"""What a user may choose about TensorRT: how an engine is built, checked, kept and run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from isaac_inference.engines.settings import STREAM_PRIORITIES, BackendSettings, setting, settings_info
from isaac_inference.errors import ConfigError
from isaac_inference.models.card.card import ModelCard

PRECISIONS = ('model', 'fp16')
PRESETS: Mapping[str, int] = MappingProxyType({'fastest': 0, 'balanced': 3, 'best': 5})
"""Preset -> TensorRT's builder optimization level; 3 is TensorRT's own default."""
TACTIC_SOURCES = ('CUBLAS', 'CUBLAS_LT', 'CUDNN', 'EDGE_MASK_CONVOLUTIONS', 'JIT_CONVOLUTIONS')
"""TensorRT's names; the first three are off by default in 10 and gone in 11."""


@dataclass(frozen=True)
class TensorRtSettings(BackendSettings):
    """How TensorRT engines are built and run; checked when it is made (ConfigError).

    The shapes of the optimization profile come from two triples, smallest, optimum and largest: of the batch, and of
    (width, height). The image input [N, 3, H, W] (or [N, H, W, 3]) takes from each what the model leaves open; what
    the model fixes must not be set to something else. (0, 0) stands for the model card's `input_wh`.
    """

    precision: str = setting(
        'model',
        "'model' builds the graph in the types that it has; 'fp16' casts a float32 graph to float16 first.",
        choices=PRECISIONS,
        in_key=True,
    )
    auto_build: bool = setting(True, 'Build a missing engine; false: stop, and name the command that builds it.')
    preset: str = setting(
        'balanced',
        "Build time against speed: 'fastest' is optimization level 0, 'balanced' 3, 'best' 5.",
        choices=tuple(PRESETS),
    )
    optimization_level: int = setting(
        -1, "TensorRT's builder optimization level, 0 to 5; -1: that of the preset.", minimum=-1, maximum=5
    )
    workspace_mib: int = setting(
        0, "Maximum GPU memory that a layer's tactic may use; 0: no limit.", unit='MiB', minimum=0, in_key=True
    )
    min_batch: int = setting(1, 'Minimum batch size.', minimum=1)
    opt_batch: int = setting(1, 'Batch size that the engine is tuned for.', minimum=1)
    max_batch: int = setting(1, 'Maximum batch size.', minimum=1)
    min_wh: tuple[int, int] = setting((0, 0), "Smallest width and height; 0, 0: the card's.", unit='px')
    opt_wh: tuple[int, int] = setting(
        (0, 0), "Width and height that the engine is tuned for; 0, 0: the card's.", unit='px'
    )
    max_wh: tuple[int, int] = setting((0, 0), "Largest width and height; 0, 0: the card's.", unit='px')
    dla_core: int = setting(
        -1, 'DLA core (Jetson) for the layers that it can run; -1: none.', minimum=-1, maximum=15, in_key=True
    )
    version_compatible: bool = setting(
        False, 'Build an engine that later TensorRT versions can load too, at some cost in speed.', in_key=True
    )
    hardware_compatible: bool = setting(
        False, 'Build an engine for every GPU since Ampere, at some cost in speed.', in_key=True
    )
    tactic_sources: tuple[str, ...] = setting(
        (), "Libraries that layers may come from; empty: TensorRT's choice.", choices=TACTIC_SOURCES, in_key=True
    )
    tf32: bool = setting(
        False,
        'Let float32 layers multiply in TF32, with the mantissa of float16: faster, and boxes move a little.',
        in_key=True,
    )
    sparsity: bool = setting(False, 'Let layers use weights with 2:4 structured sparsity.', in_key=True)
    detailed_profile: bool = setting(
        False, 'Keep layer parameters in the engine, for the per-layer report.', in_key=True
    )
    min_agreement: float = setting(
        -1.0,
        'Minimum agreement of a new engine with the model in ONNX Runtime, as cosine similarity of each output; -1: '
        '0.98, and 0.95 for a graph with Q/DQ, which no two runtimes round alike.',
        minimum=-1.0,
        maximum=1.0,
    )
    cache_dir: str = setting(
        '', 'Folder for engines and timing caches; empty: isaac_inference in $XDG_CACHE_HOME or ~/.cache.'
    )
    device: int = setting(0, 'Index of the GPU.', minimum=0)
    contexts: int = setting(1, 'Execution contexts: how many frames may be in flight at once.', minimum=1, maximum=16)
    priority: str = setting('normal', "Priority of the engine's streams.", choices=STREAM_PRIORITIES)
    memory_limit_mib: int = setting(0, 'Maximum GPU memory of this process; 0: no limit.', unit='MiB', minimum=0)
    cuda_graph: bool = setting(
        True, 'Launch the engine as one CUDA graph where shapes are fixed, or nothing but the batch varies.'
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, 'tactic_sources', tuple(str(name).upper() for name in self.tactic_sources if name))
        for name in ('min_wh', 'opt_wh', 'max_wh'):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        super().__post_init__()
        if not self.min_batch <= self.opt_batch <= self.max_batch:
            raise ConfigError(
                f'min_batch, opt_batch, max_batch: got {self.min_batch}, {self.opt_batch}, {self.max_batch}; expected '
                'them to rise, such as 1, 4, 8'
            )
        given = [size for size in (self.min_wh, self.opt_wh, self.max_wh) if size != (0, 0)]
        if any(small[axis] > large[axis] for small, large in zip(given, given[1:], strict=False) for axis in (0, 1)):
            raise ConfigError(
                f'min_wh, opt_wh, max_wh: got {self.min_wh}, {self.opt_wh}, {self.max_wh}; expected width and height '
                'to rise, such as 320x320, 640x480, 1280x736'
            )

    @property
    def level(self) -> int:
        """The builder optimization level, 0 to 5: what was set, else the preset's."""
        return self.optimization_level if self.optimization_level >= 0 else PRESETS[self.preset]

    @property
    def largest_batch(self) -> int:
        """Most images at once."""
        return self.max_batch

    @property
    def bounds_batch(self) -> bool:
        """True: the optimization profile does."""
        return True

    def for_batch(self, count: int) -> TensorRtSettings:
        """Tuned for `count` images and taking 1 to `count`, unless the batch was set to anything but 1."""
        if count <= 1 or (self.min_batch, self.opt_batch, self.max_batch) != (1, 1, 1):
            return self
        return dataclasses.replace(self, opt_batch=count, max_batch=count)

    def for_priority(self, priority: int) -> TensorRtSettings:
        """With streams of that priority, unless another than 'normal' was set."""
        if self.priority != 'normal':
            return self
        return dataclasses.replace(self, priority=STREAM_PRIORITIES[priority])

    def smaller_batch(self) -> TensorRtSettings | None:
        """With half of the largest batch, and no other one above it; None where it is 1."""
        most = self.max_batch // 2
        if not most:
            return None
        return dataclasses.replace(
            self, max_batch=most, opt_batch=min(self.opt_batch, most), min_batch=min(self.min_batch, most)
        )

    def key_options(self) -> dict[str, Any]:
        """What belongs into an engine's key besides the model, its shapes, TensorRT and the GPU; values that JSON
        can hold. The order of tactic sources means nothing.
        """
        options = {name: getattr(self, name) for name, info in settings_info(TensorRtSettings).items() if info.in_key}
        del options['precision']  # the key has a field for it
        return {**options, 'tactic_sources': sorted(self.tactic_sources), 'optimization_level': self.level}


def build_command(card: ModelCard, settings: TensorRtSettings) -> str:
    """The command line that builds the engine of these settings."""
    words = ['isaac-inference', 'build', str(card.path)]
    default = TensorRtSettings()
    for name in settings_info(TensorRtSettings):
        value = getattr(settings, name)
        if name == 'auto_build' or value == getattr(default, name):
            continue
        option = name.replace('_', '-')
        if isinstance(value, bool):
            words.append(f'--{option}' if value else f'--no-{option}')
        elif name.endswith('_wh'):
            words += [f'--{option}', f'{value[0]}x{value[1]}']
        else:
            words += [f'--{option}', ','.join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _size(name: str, value: Any) -> tuple[int, int]:
    """A (width, height) in px, both 0 or both positive."""
    try:
        width, height = (int(number) for number in value)
    except (TypeError, ValueError):
        width, height = -1, -1
    if (width, height) != (0, 0) and (width < 1 or height < 1):
        raise ConfigError(
            f'{name}: got {value!r}, expected width and height in px, or 0, 0 for those of the model card'
        )
    return width, height
