# SPDX-License-Identifier: Apache-2.0
"""Compiles .cu files for a device with NVRTC or nvcc, whichever is available, and caches the result.

A kernel file is self-contained: no #include, since NVRTC has no headers. One of its first comment lines may give
options that both compilers accept: `// options: --fmad=false`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Protocol

from isaac_inference.cuda.compile.nvcc import find_nvcc
from isaac_inference.cuda.compile.nvrtc import find_nvrtc
from isaac_inference.errors import ConfigError, DeviceError
from isaac_inference.store.user_cache import cache_dir

_log = logging.getLogger(__name__)

_OPTIONS = 'options:'
_MAGIC = b'ISAACCUBIN1\n'
_DIGEST = hashlib.sha256().digest_size


class Compiler(Protocol):
    """NVRTC or nvcc.

    Attributes:
        identity: kind and version; part of the cache key.
        path: its location.
    """

    identity: str
    path: str

    def compile(self, source: str, name: str, architecture: int, options: tuple[str, ...]) -> bytes:
        """A cubin for exactly that architecture (90 for 9.0), or PTX if the compiler does not know it.

        Raises:
            DeviceError: the source has an error; includes the compiler's output.
        """

    def architectures(self) -> tuple[int, ...]:
        """Supported architectures, ascending."""


def options_of(source: str) -> tuple[str, ...]:
    """Compiler options that a kernel file requests in its first comment lines.

    Raises:
        DeviceError: one of them is not an option.
    """
    found: list[str] = []
    for line in source.splitlines():
        text = line.strip()
        if not text.startswith('//'):
            break
        text = text.lstrip('/').strip()
        if text.startswith(_OPTIONS):
            found += text[len(_OPTIONS) :].split()
    for option in found:
        if not option.startswith('-'):
            raise DeviceError(f'compiler option {option!r}: expected one that starts with -')
    return tuple(found)


def find_compiler(architecture: int) -> Compiler | None:
    """The best compiler for a device: one that supports it, NVRTC before nvcc; else the first; None without one."""
    found: list[Compiler] = [*find_nvrtc(), *find_nvcc()]
    for compiler in found:
        if architecture in compiler.architectures():
            return compiler
    return found[0] if found else None


def compiled(path: Path, compute_capability: tuple[int, int], cache_root: str | Path = '') -> bytes:
    """The kernels of a file in a form the driver loads: a cubin, or PTX from a compiler older than the device.

    Args:
        path: the .cu file.
        compute_capability: the device's.
        cache_root: where compiled kernels are kept; empty for the user's cache.

    Raises:
        DeviceError: no such file, an error in it, or neither a compiler nor a cached result.
    """
    try:
        source = path.read_text(encoding='utf-8')
    except OSError as error:
        raise DeviceError(f'kernel file {path}: {error.strerror or error}; reinstall isaac_inference') from error
    options = options_of(source)
    architecture = 10 * compute_capability[0] + compute_capability[1]
    folder = _cache_folder(cache_root)
    key = _digest('\0'.join((path.name, source, *options)))
    stem = f'{path.stem}-sm_{architecture}-{key}'
    compiler = find_compiler(architecture)
    if compiler is None:
        return _kept_without_compiler(path, architecture, folder, stem)
    entry = folder / f'{stem}-{_digest(compiler.identity)}.cubin' if folder else None
    image = _read(entry) if entry else None
    if image is None:
        _log.info(
            'compiling %s for compute capability %d.%d with %s', path.name, *compute_capability, compiler.identity
        )
        image = compiler.compile(source, path.name, architecture, options)
        if entry:
            _write(entry, image)
    return image


def _kept_without_compiler(path: Path, architecture: int, folder: Path | None, stem: str) -> bytes:
    """An earlier result of any compiler for the same source, newest first."""
    entries = folder.glob(f'{stem}-*.cubin') if folder else iter(())
    for entry in sorted(entries, key=lambda found: found.stat().st_mtime, reverse=True):
        image = _read(entry)
        if image is not None:
            return image
    raise DeviceError(
        f'{path.name}: no CUDA compiler to build it for sm_{architecture}: neither libnvrtc.so (CUDA_HOME, '
        "/usr/local/cuda, Python's nvidia packages) nor nvcc (CUDACXX, CUDA_HOME, PATH, /usr/local/cuda) was found; "
        'pip install nvidia-cuda-nvrtc-cu12 (cu13: nvidia-cuda-nvrtc), or install the CUDA toolkit'
    )


def _cache_folder(root: str | Path) -> Path | None:
    """None if nothing can be cached; then each process compiles for itself, which takes seconds."""
    try:
        return cache_dir('kernels', root)
    except ConfigError as error:
        _log.warning('compiled kernels are not cached: %s', error)
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(entry: Path) -> bytes | None:
    """An entry's image; None if it is missing or not what was written."""
    try:
        data = entry.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    image = data[start:]
    if data[: len(_MAGIC)] == _MAGIC and image and hashlib.sha256(image).digest() == data[len(_MAGIC) : start]:
        return image
    _log.warning('compiled kernels in %s are damaged; compiling them again', entry)
    return None


def _write(entry: Path, image: bytes) -> None:
    """Writes a temporary file and renames it, so that another process sees all of it or nothing."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f'.{entry.stem}-', dir=entry.parent)
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(_MAGIC + hashlib.sha256(image).digest() + image)
            os.replace(temporary, entry)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.warning('compiled kernels are not cached: %s: %s', entry, error.strerror or error)
