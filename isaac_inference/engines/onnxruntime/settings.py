# SPDX-License-Identifier: Apache-2.0
"""What a user may choose about ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.engines.settings import BackendSettings, setting
from isaac_inference.errors import ConfigError


@dataclass(frozen=True)
class OnnxRuntimeSettings(BackendSettings):
    """How ONNX Runtime runs a model; checked when it is made (ConfigError)."""

    providers: tuple[str, ...] = setting(
        (),
        "Execution providers in order of preference: ONNX Runtime's names, or cpu, cuda, tensorrt; empty: CUDA where "
        'this build has it and it starts, else the CPU.',
    )
    threads: int = setting(
        0, 'CPU threads of one inference; 0: all that the process may use.', unit='threads', minimum=0
    )
    spinning: bool = setting(True, 'Idle threads wait for work actively while a model runs: faster, for more CPU time.')

    def __post_init__(self) -> None:
        names = self.providers
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"providers: got {names!r}, expected a list of names such as ['cuda', 'cpu']")
        object.__setattr__(self, 'providers', tuple(names))
        super().__post_init__()
