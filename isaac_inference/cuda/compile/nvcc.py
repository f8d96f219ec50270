# SPDX-License-Identifier: Apache-2.0
"""The CUDA compiler driver nvcc, run as a program."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from isaac_inference.errors import DeviceError

_TIMEOUT_S = 300  # a kernel file takes one to ten
_DEFAULT = Path('/usr/local/cuda/bin/nvcc')


class Nvcc:
    """One nvcc.

    Args:
        path: the program.

    Attributes:
        identity: kind and version.
        path: as given.

    Raises:
        DeviceError: it does not run.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        version = re.search(r'\bV(\d[\d.]*)', self._run('--version'))
        self.identity = f'nvcc {version.group(1) if version else "of unknown version"}'

    def architectures(self) -> tuple[int, ...]:
        """Supported architectures, ascending; empty if it can't say, as before CUDA 11.5."""
        try:
            listed = self._run('--list-gpu-arch')
        except DeviceError:
            return ()
        return tuple(sorted({int(number) for number in re.findall(r'compute_(\d+)\b', listed)}))

    def compile(self, source: str, name: str, architecture: int, options: tuple[str, ...]) -> bytes:
        """A cubin for an architecture, or PTX for the newest that it knows if it does not know that one.

        Raises:
            DeviceError: the source has an error; includes the compiler's output.
        """
        known = self.architectures()
        if known and architecture not in known:
            older = [number for number in known if number < architecture]
            if not older:
                raise DeviceError(
                    f'{name}: {self.identity} no longer compiles for sm_{architecture}; install an older CUDA'
                )
            target = ['-ptx', f'-arch=compute_{older[-1]}']
        else:
            target = ['-cubin', f'-arch=sm_{architecture}']
        with tempfile.TemporaryDirectory(prefix='isaac_inference-') as folder:
            written, result = Path(folder) / name, Path(folder) / 'result'
            written.write_text(source, encoding='utf-8')
            self._run(*target, '--std=c++17', *options, '-o', str(result), name, folder=folder)
            return result.read_bytes()

    def _run(self, *arguments: str, folder: str | None = None) -> str:
        command = [self.path, *arguments]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceError(f'{" ".join(command)}: {error}') from error
        if done.returncode:
            text = (done.stderr + done.stdout).strip()
            raise DeviceError(f'{" ".join(command)} exited with {done.returncode}:\n{text[:4000]}')
        return done.stdout


@functools.cache
def find_nvcc() -> tuple[Nvcc, ...]:
    """The first nvcc of CUDACXX, CUDA_HOME, CUDA_PATH, PATH and the default folder that runs; empty without one."""
    for program in _programs():
        if not program or not os.access(program, os.X_OK):
            continue
        try:
            return (Nvcc(program),)
        except DeviceError:
            continue
    return ()


def _programs() -> list[str]:
    named = os.environ.get('CUDACXX', '')
    homes = [os.environ.get(name, '') for name in ('CUDA_HOME', 'CUDA_PATH')]
    return [
        shutil.which(named) or '' if named else '',
        *(str(Path(home) / 'bin' / 'nvcc') for home in homes if home),
        shutil.which('nvcc') or '',
        str(_DEFAULT),
    ]
