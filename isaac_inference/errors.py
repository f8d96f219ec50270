# SPDX-License-Identifier: Apache-2.0
"""The package's exceptions.

Every message says what it is about, what arrived, what was expected or is available, and what to do next.
"""

from __future__ import annotations


class PerceptionError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(PerceptionError):
    """A parameter, launch argument or model card is unusable; raised while configuring, never per frame."""


class ModelError(ConfigError):
    """A model file can't be read, or isn't what its card says."""


class EngineError(PerceptionError):
    """An engine was used in the wrong state or with the wrong tensors, or its backend failed."""


class FrameError(PerceptionError):
    """One frame can't be used; it is dropped and counted under `reason`; later frames are not affected.

    Args:
        reason: short snake_case key, stable across releases; diagnostics count drops under it.
        message: what it is about, what arrived, what was expected, what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeviceError(EngineError):
    """The GPU can't be used: there is none, its driver is too old, or a call to it failed."""


class DeviceMemoryError(DeviceError):
    """The GPU, or the limit set for this process, has too little memory left.

    Attributes:
        needed: bytes that were requested.
        free: bytes that were left.
    """

    def __init__(self, what: str, needed: int, free: int) -> None:
        super().__init__(
            f'{what}: needs {needed / 2**20:.1f} MiB of GPU memory, {free / 2**20:.1f} MiB are free; '
            'use a smaller batch or input, raise memory_limit_mib if one is set, or stop other users of the GPU'
        )
        self.needed, self.free = needed, free
