# SPDX-License-Identifier: Apache-2.0
"""The doctor's lines on the GPU: device, TensorRT, PyCUDA, kernel compiler, engine cache, NVML.

A machine without a GPU is fine: models run on its CPU, and nothing here is reported as wrong. Nothing here may end the
report either: a query that fails becomes a line that says why.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from isaac_inference.cli.doctor.finding import Finding, distribution_version
from isaac_inference.cuda.availability import why_no_driver, why_no_gpu
from isaac_inference.cuda.compile.compiler import find_compiler
from isaac_inference.engines.tensorrt import compat
from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.store.engine_cache import CacheEntry, EngineCache

DRIVER_FILE = Path('/proc/driver/nvidia/version')
JETSON_FILE = Path('/etc/nv_tegra_release')
SYSTEM_PACKAGES = Path('/usr/lib')
NEWEST_TENSORRT = 11
"""The newest major version that the code was written against."""
_ON_THE_CPU = 'models run on the CPU'
_MIB = 2**20


def check_gpu() -> Iterator[Finding]:
    """Every line; a check that fails is a line too."""
    has_gpu = not _asked(why_no_driver)
    yield _driver()
    for subject, check in (
        ('GPU', lambda: _devices(_asked(why_no_gpu))),
        ('TensorRT', lambda: iter((tensorrt_finding(has_gpu=has_gpu),))),
        ('PyCUDA', lambda: iter((pycuda_finding(has_gpu=has_gpu),))),
        ('kernel compiler', lambda: iter((compiler_finding(has_gpu=has_gpu),))),
        ('engine cache', lambda: iter((cache_finding(),))),
        ('NVML', lambda: iter((nvml_finding(has_gpu=has_gpu),))),
    ):
        yield from _guarded(subject, check)


def tensorrt_finding(*, has_gpu: bool) -> Finding:
    """TensorRT's version; one that is too old for a GPU that could be used is wrong."""
    try:
        trt = compat.load()
    except ConfigError as error:
        return Finding('TensorRT', str(error).partition(';')[0], _tensorrt_advice())
    except PerceptionError as error:
        fact, _, advice = str(error).partition(';')
        return Finding('TensorRT', fact, advice.strip(), fatal=has_gpu)
    fact = f'{trt.__version__} at {Path(trt.__file__).parent}'
    if compat.version(trt)[0] > NEWEST_TENSORRT:
        return Finding('TensorRT', fact, f'newer than what this package was written for (8.6 to {NEWEST_TENSORRT})')
    return Finding('TensorRT', fact)


def pycuda_finding(*, has_gpu: bool) -> Finding:
    """PyCUDA's version, or why it can't be imported."""
    version = distribution_version('pycuda')
    if not version:
        advice = 'pip install pycuda, with nvcc on PATH and a C++ compiler' if has_gpu else ''
        return Finding('PyCUDA', 'not installed', advice)
    try:
        module = importlib.import_module('pycuda.driver')
    except Exception as error:
        advice = 'install it again: it must be built for this Python, NumPy and driver' if has_gpu else ''
        return Finding('PyCUDA', f'{version}, which cannot be imported: {error}', advice)
    return Finding('PyCUDA', f'{version} at {Path(module.__file__ or "").parent}')


def compiler_finding(*, has_gpu: bool) -> Finding:
    """What compiles our kernels: NVRTC or nvcc; having neither is never wrong, since the CPU stages are used then."""
    architecture = 0
    if not _asked(why_no_gpu):
        from isaac_inference.cuda.device import gpu

        major, minor = gpu().compute_capability
        architecture = 10 * major + minor
    compiler = find_compiler(architecture)
    if compiler is None:
        advice = (
            'preprocessing and decoding run on the CPU; pip install nvidia-cuda-nvrtc (CUDA 12: '
            'nvidia-cuda-nvrtc-cu12), or install the CUDA toolkit'
        )
        return Finding('kernel compiler', 'neither NVRTC nor nvcc', advice if has_gpu else '')
    fact, known = f'{compiler.identity} at {compiler.path}', compiler.architectures()
    if architecture and known and architecture not in known:
        return Finding(
            'kernel compiler', fact, f'does not support sm_{architecture}; a newer CUDA makes better kernels'
        )
    return Finding('kernel compiler', fact)


def cache_finding() -> Finding:
    """Where engines are kept, how many there are and which of them are no longer usable here."""
    try:
        cache = EngineCache()
        entries = cache.entries()
    except PerceptionError as error:
        fact, _, advice = str(error).partition(';')
        return Finding('engine cache', fact, advice.strip())
    size = sum(int(entry.metadata['bytes']) for entry in entries)
    engines = f'{len(entries)} engine{"s" * (len(entries) != 1)}, {size / _MIB:.1f} MiB'
    return Finding('engine cache', f'{engines} at {cache.folder}', _stale(entries))


def nvml_finding(*, has_gpu: bool) -> Finding:
    """Whether NVML, which reports power, can be queried."""
    advice = 'pip install nvidia-ml-py: bench then reports power' if has_gpu else ''
    try:
        nvml = importlib.import_module('pynvml')
    except ImportError:
        return Finding('NVML', 'no Python module "pynvml"', advice)
    try:
        nvml.nvmlInit()
    except (
        Exception
    ) as error:  # pynvml's errors have no common base with ours; on a CPU machine this is the normal case
        return Finding('NVML', f'not available: {error}')
    try:
        version = nvml.nvmlSystemGetNVMLVersion()
    finally:
        nvml.nvmlShutdown()
    return Finding('NVML', version.decode() if isinstance(version, bytes) else str(version))


def _driver() -> Finding:
    try:
        return Finding('NVIDIA driver', DRIVER_FILE.read_text(encoding='utf-8').splitlines()[0])
    except (OSError, IndexError):
        return Finding('NVIDIA driver', 'none', _ON_THE_CPU)


def _devices(why: str) -> Iterator[Finding]:
    """One line per GPU."""
    if why:
        fact, _, advice = why.partition(';')
        yield Finding('GPU', fact, f'{_ON_THE_CPU}; to use one: {advice.strip()}' if advice else _ON_THE_CPU)
        return
    from pycuda import driver

    from isaac_inference.cuda.device import gpu

    driver.init()
    for ordinal in range(driver.Device.count()):
        found = gpu(ordinal)
        free, total = found.memory()
        capability = '.'.join(map(str, found.compute_capability))
        yield Finding(
            f'GPU {ordinal}',
            f'{found.name}, compute capability {capability}, {free / _MIB:.0f} of {total / _MIB:.0f} MiB free, driver '
            f'for CUDA {found.driver_version}',
        )


def _asked(why: Callable[[], str]) -> str:
    """Why the GPU can't be used; if even that query fails, its error."""
    try:
        return why()
    except Exception as error:
        return f'{type(error).__name__}: {error}'


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The lines of a check; if it fails, one more that says how."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(subject, f'query failed: {type(error).__name__}: {error}')


def _tensorrt_advice() -> str:
    """How to get the module, for this machine."""
    if JETSON_FILE.is_file():
        hidden = sorted(SYSTEM_PACKAGES.glob('python3*/dist-packages/tensorrt'))
        if hidden:
            return (
                f'{hidden[0]} exists, but this Python does not search it: use /usr/bin/python3, or create the virtual '
                'environment with it and --system-site-packages'
            )
        return 'apt install python3-libnvinfer, and use /usr/bin/python3'
    return 'only for an NVIDIA GPU: pip install tensorrt'


def _stale(entries: list[CacheEntry]) -> str:
    """Which engines were built for another TensorRT than this one."""
    try:
        current = str(compat.load().__version__)
    except PerceptionError:
        return ''
    old = [entry for entry in entries if entry.metadata['key'].get('tensorrt') != current]
    if not old:
        return ''
    were = 'was' if len(old) == 1 else 'were'
    return (
        f'{len(old)} of them {were} built by another TensorRT than {current}, which cannot use them; '
        'isaac-inference build --clean removes them'
    )
