# SPDX-License-Identifier: Apache-2.0
"""Our CUDA kernels, compiled by g++ with host_cuda.h and run on the CPU; and by nvcc, to see that they compile."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import isaac_inference

KERNELS = Path(isaac_inference.__file__).parent / 'cuda' / 'kernels'
_FLAGS = ('-std=c++17', '-O2', '-g0', '-fPIC', '-shared', '-ffp-contract=off', '-fno-strict-aliasing')
_KERNEL = re.compile(
    r'__global__\s+(?:__launch_bounds__\([^)]*\)\s*)?void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\('
)


def why_no_compiler() -> str:
    """'' where g++ is there, else the reason to skip."""
    return '' if shutil.which('g++') else 'no g++ here, which compiles the kernels for the CPU'


def why_no_nvcc() -> str:
    """'' where nvcc is there, else the reason to skip."""
    return '' if shutil.which('nvcc') else 'no nvcc here'


def nvcc_errors(source: Path, arch: str, *options: str) -> str:
    """What nvcc says against a kernel file for an architecture such as 'sm_90', warnings too; '' when it compiles."""
    with tempfile.TemporaryDirectory() as folder:
        command = ['nvcc', f'-arch={arch}', '-cubin', '-Werror', 'all-warnings', *options]
        done = subprocess.run([*command, '-o', f'{folder}/out.cubin', str(source)], capture_output=True, text=True)
    return '' if done.returncode == 0 else (done.stderr + done.stdout or f'exit status {done.returncode}')


@lru_cache
def host_kernels(name: str) -> HostKernels:
    """The kernels of isaac_inference/cuda/kernels/<name>.cu; compiled once a process."""
    return HostKernels((KERNELS / f'{name}.cu').read_text(), name)


class HostKernel:
    """One kernel on the CPU."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        self._run = getattr(library, f'host_run_{name}')
        description = ctypes.create_string_buffer(512)
        count = getattr(library, f'host_describe_{name}')(description)
        self._parameters = [(chr(description.raw[2 * i]), description.raw[2 * i + 1]) for i in range(count)]

    def run(self, grid: tuple[int, ...], block: tuple[int, ...], *args: Any, backwards: bool = False) -> None:
        """Runs the grid to its end.

        Args:
            grid, block: (x, y, z), or fewer.
            args: numpy arrays for pointers (C-contiguous; written in place), ints for pointers (addresses), numpy
                scalars of the very type for the rest. What doesn't fit the kernel's parameters is a TypeError, where
                the GPU would read rubbish.
            backwards: blocks and threads take their turns from the last to the first.
        """
        if len(args) != len(self._parameters):
            raise TypeError(f'{self.name}: got {len(args)} arguments, takes {len(self._parameters)}')
        cells = [self._cell(i, arg) for i, arg in enumerate(args)]
        pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
        if self._run(pointers, _dims(grid), _dims(block), ctypes.c_int(backwards)):
            raise RuntimeError(f'{self.name}: threads wait at a barrier or warp operation that the others never reach')

    def _cell(self, index: int, arg: Any) -> np.ndarray:
        kind, size = self._parameters[index]
        where = f'{self.name}: argument {index}'
        if kind == 'p':
            if isinstance(arg, np.ndarray):
                if not arg.flags.c_contiguous:
                    raise TypeError(f'{where}: an array that is not C-contiguous')
                return np.array(arg.ctypes.data, np.uint64)
            if isinstance(arg, (int, np.uint64)):
                return np.array(arg, np.uint64)
            raise TypeError(f'{where}: a pointer, got {type(arg).__name__}')
        if not isinstance(arg, (np.generic, np.ndarray)) or arg.nbytes != size:
            raise TypeError(f'{where}: expected a numpy scalar of {size} bytes, got {arg!r} of {type(arg).__name__}')
        if kind != 's' and (arg.dtype.kind == 'f') != (kind == 'f'):
            raise TypeError(f'{where}: expected {"floating point" if kind == "f" else "an integer"}, got {arg.dtype}')
        return np.array(arg)


class HostKernels:
    """Kernels from one source text, by name."""

    def __init__(self, source: str, what: str = 'kernels') -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='host_kernels_')
        folder = Path(self._folder.name)
        (folder / f'{what}.cu').write_text(source)
        names = _KERNEL.findall(source)
        lines = ['#include "host_cuda.h"', f'#include "{what}.cu"', *(f'HOST_KERNEL({name})' for name in names)]
        (folder / 'all.cpp').write_text('\n'.join(lines) + '\n')
        out = folder / f'{what}.so'
        command = ['g++', *_FLAGS, f'-I{Path(__file__).parent}', '-o', str(out), str(folder / 'all.cpp')]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f'{what}.cu: g++ failed\n{done.stderr}')
        library = ctypes.CDLL(str(out))
        self._kernels = {name: HostKernel(library, name) for name in names}

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels of this source."""
        return tuple(self._kernels)

    def function(self, name: str) -> HostKernel:
        """One of them."""
        return self._kernels[name]


def _dims(sizes: tuple[int, ...]) -> ctypes.Array[ctypes.c_uint]:
    return (ctypes.c_uint * 3)(*sizes, *(1,) * (3 - len(sizes)))
