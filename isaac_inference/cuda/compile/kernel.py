# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels on a device, and how to launch them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pycuda.driver as cuda

from isaac_inference.cuda.compile.compiler import compiled
from isaac_inference.errors import DeviceError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.stream import Stream


class Kernels:
    """The kernels of one .cu file, made by `Gpu.kernels`."""

    def __init__(self, gpu: Gpu, path: Path) -> None:
        self._gpu = gpu
        self.name = path.stem
        image = compiled(path, gpu.compute_capability)
        with gpu.current():
            try:
                self._module = cuda.module_from_buffer(image)
            except cuda.Error as error:
                raise DeviceError(
                    f'{path.name}: the driver (CUDA {gpu.driver_version}) cannot load the compiled kernels '
                    f'({error}); use a CUDA toolkit that is not newer than the driver, or update the driver'
                ) from error
        self._functions: dict[str, Kernel] = {}

    def function(self, name: str) -> Kernel:
        """A kernel by name; the source declares it `extern "C"`.

        Raises:
            DeviceError: the file has no kernel with that name.
        """
        found = self._functions.get(name)
        if found is None:
            with self._gpu.current():
                try:
                    function = self._module.get_function(name)
                except cuda.Error as error:
                    raise DeviceError(
                        f'{self.name}.cu: no kernel {name!r} ({error}); is it declared extern "C" __global__?'
                    ) from error
            found = self._functions[name] = Kernel(self._gpu, name, function)
        return found

    def __del__(self) -> None:
        module = getattr(self, '_module', None)
        if module is not None:
            self._module = None
            self._gpu.context.discard(module)


class Kernel:
    """One kernel of a device."""

    def __init__(self, gpu: Gpu, name: str, function: Any) -> None:
        self._gpu = gpu
        self._function = function
        self.name = name
        self._layouts: dict[tuple[type, ...], struct.Struct] = {}

    def launch(
        self,
        stream: Stream,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *arguments: object,
        shared: int = 0,
    ) -> None:
        """Enqueues the kernel; returns at once.

        Args:
            stream: where to run it.
            grid: blocks along x, y, z.
            block: threads per block along x, y, z.
            *arguments: in the kernel's order: NumPy scalars of exactly the parameter's type; a DeviceBuffer,
                a DeviceArray or a Python int for a pointer. The driver does not check them.
            shared: dynamic shared memory, bytes.

        Raises:
            DeviceError: an argument has another type, or the driver refuses the launch.
        """
        kinds = tuple([type(argument) for argument in arguments])
        layout = self._layouts.get(kinds)
        if layout is None:
            layout = self._layouts[kinds] = self._layout(arguments)
        values = [argument if isinstance(argument, (np.generic, int)) else argument.ptr for argument in arguments]  # type: ignore[attr-defined]
        with self._gpu.current():
            self._function._launch_kernel(grid, block, layout.pack(*values), shared, stream.raw)
        self._gpu.counters.add('launches')

    def _layout(self, arguments: tuple[object, ...]) -> struct.Struct:
        """The parameters in memory: each aligned to its size, as in C, and as `struct` does in native mode."""
        codes: list[str] = []
        for index, argument in enumerate(arguments):
            if isinstance(argument, np.generic) and argument.dtype.kind in 'iufb':
                codes.append(argument.dtype.char)
            elif hasattr(argument, 'ptr') or (isinstance(argument, int) and not isinstance(argument, bool)):
                codes.append('P')
            else:
                raise DeviceError(
                    f'kernel {self.name}: argument {index} is a {type(argument).__name__}; expected a NumPy scalar of '
                    "the parameter's type, or a DeviceArray, a DeviceBuffer or an int for a pointer"
                )
        try:
            return struct.Struct(''.join(codes))
        except struct.error as error:
            raise DeviceError(
                f'kernel {self.name}: an argument has an element type that C does not have ({error})'
            ) from error
