# SPDX-License-Identifier: Apache-2.0
"""NVRTC, the CUDA compiler as a library, through ctypes. Compiling runs without the GIL and starts no process."""

from __future__ import annotations

import ctypes
import functools
import os
import site
import sysconfig
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

from isaac_inference.errors import DeviceError

_NAMES = ('libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so.11.2', 'libnvrtc.so')
_SIGNATURES: dict[str, tuple[type, ...]] = {
    'nvrtcVersion': (POINTER(c_int), POINTER(c_int)),
    'nvrtcGetNumSupportedArchs': (POINTER(c_int),),
    'nvrtcGetSupportedArchs': (POINTER(c_int),),
    'nvrtcCreateProgram': (
        POINTER(c_void_p),
        c_char_p,
        c_char_p,
        c_int,
        POINTER(c_char_p),
        POINTER(c_char_p),
    ),
    'nvrtcCompileProgram': (c_void_p, c_int, POINTER(c_char_p)),
    'nvrtcDestroyProgram': (POINTER(c_void_p),),
    'nvrtcGetProgramLogSize': (c_void_p, POINTER(c_size_t)),
    'nvrtcGetProgramLog': (c_void_p, c_char_p),
    'nvrtcGetCUBINSize': (c_void_p, POINTER(c_size_t)),
    'nvrtcGetCUBIN': (c_void_p, c_char_p),
    'nvrtcGetPTXSize': (c_void_p, POINTER(c_size_t)),
    'nvrtcGetPTX': (c_void_p, c_char_p),
}


class _SymbolInfo(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = [('file', c_char_p), ('base', c_void_p), ('name', c_char_p), ('address', c_void_p)]


class Nvrtc:
    """One NVRTC library, 11.2 or newer.

    Args:
        library: name or path.

    Attributes:
        identity: kind and version.
        path: the file that was loaded; as given if that can't be determined.

    Raises:
        OSError: it can't be loaded.
        DeviceError: it lacks a function that this class needs.
    """

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        for name, types in _SIGNATURES.items():
            try:
                function = getattr(self._library, name)
            except AttributeError as error:
                raise DeviceError(f'{library} has no {name}; NVRTC 11.2 or newer is needed') from error
            function.argtypes = types
            function.restype = c_int
        self.path = _path_of(self._library.nvrtcVersion) or library
        major, minor = c_int(), c_int()
        self._call('nvrtcVersion', byref(major), byref(minor))
        self.identity = f'NVRTC {major.value}.{minor.value}'

    def architectures(self) -> tuple[int, ...]:
        """Supported architectures, ascending."""
        count = c_int()
        self._call('nvrtcGetNumSupportedArchs', byref(count))
        numbers = (c_int * count.value)()
        self._call('nvrtcGetSupportedArchs', numbers)
        return tuple(sorted(numbers))

    def compile(self, source: str, name: str, architecture: int, options: tuple[str, ...]) -> bytes:
        """A cubin for an architecture, or PTX for the newest that it knows if it does not know that one.

        Raises:
            DeviceError: the source has an error; includes the compiler's output.
        """
        known = self.architectures()
        native = architecture in known
        older = [number for number in known if number < architecture]
        if not native and not older:
            raise DeviceError(
                f'{name}: {self.identity} no longer compiles for sm_{architecture}; install an older CUDA'
            )
        target = f'sm_{architecture}' if native else f'compute_{older[-1]}'
        arguments = [f'--gpu-architecture={target}', '--std=c++17', *options]
        program = c_void_p()
        self._call('nvrtcCreateProgram', byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            array = (c_char_p * len(arguments))(*(argument.encode() for argument in arguments))
            if self._library.nvrtcCompileProgram(program, len(arguments), array):
                text = self._bytes('nvrtcGetProgramLog', program).rstrip(b'\0').decode(errors='replace').strip()
                raise DeviceError(f'{self.identity} {" ".join(arguments)} {name} failed:\n{text[:4000]}')
            return self._bytes('nvrtcGetCUBIN' if native else 'nvrtcGetPTX', program)
        finally:
            self._library.nvrtcDestroyProgram(byref(program))

    def _bytes(self, function: str, program: c_void_p) -> bytes:
        size = c_size_t()
        self._call(f'{function}Size', program, byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(function, program, buffer)
        return buffer.raw

    def _call(self, name: str, *arguments: object) -> None:
        failed = getattr(self._library, name)(*arguments)
        if failed:
            raise DeviceError(f'{name} failed with NVRTC error {failed}')


@functools.cache
def find_nvrtc() -> tuple[Nvrtc, ...]:
    """The NVRTC libraries of this machine, in search order: the loader's path, CUDA_HOME and
    CUDA_PATH, /usr/local/cuda*, and the nvidia packages of this Python.
    """
    found: dict[str, Nvrtc] = {}
    for library in (*_NAMES, *_in_folders()):
        try:
            nvrtc = Nvrtc(library)
        except (OSError, DeviceError):
            continue
        found.setdefault(nvrtc.identity, nvrtc)
    return tuple(found.values())


def _path_of(function: ctypes._NamedFuncPointer) -> str:
    """The file that a function was loaded from; '' if the C library can't tell."""
    info = _SymbolInfo()
    try:
        found = ctypes.CDLL(None).dladdr(ctypes.cast(function, c_void_p), byref(info))
    except AttributeError:
        return ''
    return os.fsdecode(info.file) if found and info.file else ''


def _in_folders() -> Iterator[str]:
    """Libraries by path, newest version in a folder first; each file once."""
    seen: set[Path] = set()
    for folder in _folders():
        for path in sorted(folder.glob('libnvrtc.so*'), reverse=True):
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                yield str(path)


def _folders() -> Iterator[Path]:
    homes = [Path(os.environ[name]) for name in ('CUDA_HOME', 'CUDA_PATH') if os.environ.get(name)]
    homes += sorted(Path('/usr/local').glob('cuda*'), reverse=True)
    for home in homes:
        yield home / 'lib64'
        yield from sorted(home.glob('targets/*/lib'))
    packages = {sysconfig.get_path('purelib'), sysconfig.get_path('platlib'), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        packages.add(site.getusersitepackages())
    for package in sorted(packages):
        yield from sorted(Path(package).glob('nvidia/*/lib'))
