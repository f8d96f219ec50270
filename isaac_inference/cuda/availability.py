# SPDX-License-Identifier: Apache-2.0
"""Whether this process can use an NVIDIA GPU, and if not, why; creates no context."""

from __future__ import annotations

import ctypes
import functools
import os

DRIVER = 'libcuda.so.1'
OLDEST_DRIVER = 11040
"""CUDA 11.4, in the driver's numbering: the driver of JetPack 5 and the first with `cuGraphInstantiateWithFlags`."""

_NO_DEVICE = 100
_TOO_OLD = 35  # CUDA_ERROR_INSUFFICIENT_DRIVER; 34 is the stub library that a toolkit ships for linking
_MEANINGS = {
    34: f'{DRIVER} is the stub of a CUDA toolkit; remove its folder from LD_LIBRARY_PATH',
    _TOO_OLD: 'the kernel driver is older than its library; reinstall the driver and reboot',
    _NO_DEVICE: (
        'the driver finds no GPU; start a container with --gpus all (Jetson: --runtime nvidia), and check '
        'CUDA_VISIBLE_DEVICES'
    ),
    802: 'the GPUs of this machine are not ready yet; start nvidia-fabricmanager',
    803: 'kernel driver and driver library have different versions; reboot, or update the container',
    804: 'the container has a driver library that this GPU does not support; remove its cuda-compat package',
}


@functools.cache
def why_no_gpu() -> str:
    """Empty if a GPU can be used; else one sentence that says what is missing and what to do.

    Checked once per process: libraries and drivers do not change while it runs.
    """
    return why_no_driver() or _why_no_pycuda()


def why_no_driver(library: str = DRIVER) -> str:
    """The driver's half of `why_no_gpu`: its library, its version and a device.

    Args:
        library: name or path of the driver's library.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return (
            f'no NVIDIA driver: {library} is not found; install the driver (Jetson: it comes with JetPack), or start '
            'the container with --gpus all (Jetson: --runtime nvidia)'
        )
    failed = driver.cuInit(0)
    version = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    if 0 < version.value < OLDEST_DRIVER:
        return (
            f'the NVIDIA driver is too old: it serves CUDA {version_text(version.value)}, needed is '
            f'{version_text(OLDEST_DRIVER)} or newer; update the driver (Jetson: JetPack 5 or newer)'
        )
    if failed:
        return f'no GPU: cuInit returned error {failed}: ' + _MEANINGS.get(
            failed, 'check nvidia-smi and the kernel log, and reinstall the driver'
        )
    count = ctypes.c_int(0)
    failed = driver.cuDeviceGetCount(ctypes.byref(count))
    if failed or count.value < 1:
        visible = os.environ.get('CUDA_VISIBLE_DEVICES')
        shown = '' if visible is None else f' (CUDA_VISIBLE_DEVICES is {visible!r})'
        return f'no GPU{shown}: {_MEANINGS[_NO_DEVICE]}'
    return ''


def version_text(version: int) -> str:
    """'13.0' from 13000: how the driver numbers CUDA versions."""
    return f'{version // 1000}.{version % 1000 // 10}'


def _why_no_pycuda() -> str:
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or '').split('.')[0] == 'pycuda':
            return 'PyCUDA is not installed; pip install pycuda (it needs nvcc and a C++ compiler to build)'
        return (
            f'PyCUDA cannot be loaded ({error}); it must be built for this driver and this NumPy: '
            'pip install --force-reinstall --no-cache-dir --no-binary pycuda pycuda'
        )
    return ''
