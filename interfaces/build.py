# SPDX-License-Identifier: Apache-2.0
"""Builds the message packages beside this file into the virtual environment that runs it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
PARALLEL_PACKAGES = 2
LOG_TAIL_LINES = 30
# The ROS wheels' CMake files name the Python of the machine that built them.
WHEEL_PYTHON_INCLUDE = re.compile(r'/opt/python/[^/;"\s]+/include/python3\.\d+')
WHEEL_NUMPY_INCLUDE = re.compile(r'/opt/python/[^;"\s]+?/numpy/(?:_core|core)/include')


class BuildError(Exception):
    """A message package can't be built; the message says which, why and what to do."""


@dataclass(frozen=True)
class Package:
    """One message package: its folder, and the packages beside it that it needs first."""

    name: str
    path: Path
    needs: frozenset[str]

    @property
    def size(self) -> int:
        """Number of messages and services: large packages are started first."""
        return sum(1 for kind in ('msg', 'srv', 'action') for _ in self.path.glob(f'{kind}/*.{kind}'))


def find_packages(source: Path) -> list[Package]:
    """Reads every `*/package.xml` under `source`; the largest package comes first."""
    manifests = {path.parent.name: path.read_text(encoding='utf-8') for path in source.glob('*/package.xml')}
    packages = []
    for name, manifest in manifests.items():
        depends = set(re.findall(r'<(?:build_|exec_)?depend>([^<]+)</', manifest))
        packages.append(Package(name, source / name, frozenset(depends & manifests.keys())))
    return sorted(packages, key=lambda package: (-package.size, package.name))


def check_toolchain() -> None:
    """Fails, saying what to install, if a compiler or Python's headers are missing."""
    missing = [
        f'a {language} compiler ({" or ".join(names)})'
        for language, variable, names in (('C', 'CC', ['cc', 'gcc']), ('C++', 'CXX', ['c++', 'g++']))
        if not any(shutil.which(name) for name in compiler_names(variable, names))
    ]
    header = Path(sysconfig.get_path('include'), 'Python.h')
    if not header.is_file():
        missing.append(f'the headers of Python {sys.version_info[0]}.{sys.version_info[1]} ({header})')
    if missing:
        raise BuildError(
            f'the message packages in interfaces/ are compiled here, but {" and ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} missing; install with: '
            'sudo apt install python3-dev build-essential '
            "(for a Python that is not the system's: its own -dev package, e.g. python3.12-dev)"
        )


def compiler_names(variable: str, defaults: list[str]) -> list[str]:
    """The compiler that the environment names, as CMake reads it, or the default ones."""
    words = shlex.split(os.environ.get(variable, ''))
    return words[:1] or defaults


def patch_wheels(prefix: Path) -> None:
    """Points the CMake files of the ROS wheels at this Python and numpy; does nothing the second time."""
    import numpy

    python_include, numpy_include = sysconfig.get_path('include'), numpy.get_include()
    for path in (prefix / 'share').glob('*/cmake/*.cmake'):
        before = path.read_text(encoding='utf-8')
        after = WHEEL_PYTHON_INCLUDE.sub(lambda _: python_include, before)
        after = WHEEL_NUMPY_INCLUDE.sub(lambda _: numpy_include, after)
        if after != before:
            path.write_text(after, encoding='utf-8')


def build_environment(prefix: Path) -> dict[str, str]:
    """The environment of CMake: the virtual environment alone, whatever ROS or make has put there."""
    leaks = re.compile(r'(AMENT|CMAKE|COLCON|MAKE|MFLAGS|PYTHON|ROS_|PKG_CONFIG_PATH|DESTDIR)')
    keep = {key: value for key, value in os.environ.items() if not leaks.match(key)}
    # CMake looks for packages beside every bin/ in PATH
    programs = [
        folder
        for folder in os.environ.get('PATH', os.defpath).split(os.pathsep)
        if not Path(folder, '../share/ament_index').is_dir()
    ]
    return keep | {
        'AMENT_PREFIX_PATH': str(prefix),
        'CMAKE_PREFIX_PATH': str(prefix),
        'PATH': os.pathsep.join([str(prefix / 'bin'), *programs]),
    }


def build_package(package: Package, prefix: Path, jobs: int) -> float:
    """Configures, compiles and installs one package; returns the seconds it took."""
    started = time.monotonic()
    build = prefix / 'build' / package.name
    log = log_path(package, prefix)
    for old in (build, *installed_folders(package, prefix)):
        shutil.rmtree(old, ignore_errors=True)
    build.mkdir(parents=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    cmake = str(prefix / 'bin' / 'cmake')
    options = {
        'BUILD_TESTING': 'OFF',
        'CMAKE_BUILD_TYPE': 'Release',
        'CMAKE_INSTALL_PREFIX': prefix,
        'Python3_EXECUTABLE': sys.executable,
    }
    commands = [
        [cmake, '-G', 'Ninja', '-S', str(package.path), '-B', str(build)]
        + [f'-D{option}={value}' for option, value in options.items()],
        [cmake, '--build', str(build), '-j', str(jobs)],
        [cmake, '--install', str(build)],
    ]
    environment = build_environment(prefix)
    with log.open('w', encoding='utf-8') as output:
        for command in commands:
            output.write(f'$ {shlex.join(command)}\n')
            output.flush()
            done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            if done.returncode:
                raise BuildError(failure_text(package, done.returncode, log))
    shutil.rmtree(build, ignore_errors=True)
    return time.monotonic() - started


def installed_folders(package: Package, prefix: Path) -> list[Path]:
    """Where an earlier build may have left messages that are no longer in the package."""
    parents = (prefix / 'share', prefix / 'include', Path(sysconfig.get_path('purelib')))
    return [parent / package.name for parent in parents]


def log_path(package: Package, prefix: Path) -> Path:
    return prefix / 'log' / f'{package.name}.log'


def failure_text(package: Package, code: int, log: Path) -> str:
    tail = log.read_text(encoding='utf-8', errors='replace').splitlines()[-LOG_TAIL_LINES:]
    shown = '\n'.join(f'    {line}' for line in tail)
    return (
        f'{package.name}: cmake ended with {code}; the end of {log}:\n{shown}\n'
        'What to do: if it is about the compiler or Python.h, sudo apt install python3-dev build-essential; '
        'otherwise remove the virtual environment (make clean) and set up again.'
    )


def build_all(packages: list[Package], prefix: Path) -> None:
    """Builds two packages at a time, each as soon as those it needs are built."""
    jobs = max(1, (os.cpu_count() or 1) // PARALLEL_PACKAGES)
    waiting, done = list(packages), set[str]()
    with ThreadPoolExecutor(PARALLEL_PACKAGES) as pool:
        running: dict[Future[float], Package] = {}
        while waiting or running:
            ready = [package for package in waiting if package.needs <= done]
            if not ready and not running:
                names = ', '.join(package.name for package in waiting)
                raise BuildError(f'{names}: these packages depend on each other; break the cycle in package.xml')
            for package in ready:
                waiting.remove(package)
                running[pool.submit(build_package, package, prefix, jobs)] = package
            future = next(as_completed(running))
            package = running.pop(future)
            try:
                print(f'{package.name}: {future.result():.0f} s', flush=True)
            except BuildError:
                pool.shutdown(cancel_futures=True)
                raise
            done.add(package.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='only check that compilers and Python.h are installed')
    arguments = parser.parse_args()
    try:
        check_toolchain()
        if not arguments.check:
            build()
    except BuildError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


def build() -> None:
    """Builds every package of interfaces/ into this Python's virtual environment."""
    prefix = Path(sys.prefix)
    if sys.prefix == sys.base_prefix or not (prefix / 'share' / 'rclpy').is_dir():
        raise BuildError(
            f'{sys.executable} is not the Python of a virtual environment with the ROS wheels; '
            'run `make setup`, which makes one'
        )
    patch_wheels(prefix)
    build_all(find_packages(SOURCE), prefix)


if __name__ == '__main__':
    sys.exit(main())
