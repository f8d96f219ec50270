# SPDX-License-Identifier: Apache-2.0
"""Makes the project's virtual environment: ROS 2 wheels, message packages, tools and isaac_inference itself.

`make` runs it; it needs the standard library alone. Each step leaves a stamp: a hash of what it was made from. So a
second run does nothing, an interrupted run is taken up again, and other requirements start anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / 'requirements'
BUILD_INTERFACES = ROOT / 'interfaces' / 'build.py'
DISTROS = ('jazzy', 'kilted')
METADATA = ('setup.py', 'setup.cfg', 'isaac_inference/__init__.py', 'isaac_inference/ros/bringup/node_list.py')
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
OLDEST_GLIBC = (2, 28)
RECIPE = '1'  # raise it when the steps below change what they leave behind
LOG_TAIL_LINES, LOG_LINE_LENGTH = 40, 200
PIP_INSTALL = [
    '-m', 'pip', '--disable-pip-version-check', '--no-input',
    'install', '--no-compile', '--no-build-isolation',
]  # fmt: skip
# empy, one Python file, has no wheel
WHEELS_ONLY = ['--only-binary', ':all:', '--no-binary', 'empy']


class SetupError(Exception):
    """The environment can't be set up; the message says why and what to do."""


def check_distro(distro: str) -> None:
    if distro not in DISTROS:
        raise SetupError(
            f'ROS_DISTRO is {distro!r}, but ROS 2 wheels are used for {" and ".join(DISTROS)} only. '
            'To work without a ROS installation: make ROS_DISTRO=jazzy ... '
            f'To work with ROS 2 {distro} (is it sourced in this shell?): put the repository into a colcon '
            'workspace, then rosdep install and colcon build.'
        )


def check_python() -> None:
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        raise SetupError(
            f'{sys.executable} is Python {platform.python_version()}; Python 3.10 to 3.13 is needed. '
            'Name one that is: make PYTHON=python3.12 ...'
        )
    if any(importlib.util.find_spec(module) is None for module in ('ensurepip', 'venv')):
        raise SetupError(
            f'{sys.executable} can make no virtual environment with pip; install: sudo apt install python3-venv'
        )


def check_platform() -> None:
    system, machine, (libc, version) = platform.system(), platform.machine(), platform.libc_ver()
    numbers = tuple(int(part) for part in version.split('.') if part.isdigit())
    if (system, machine, libc) != ('Linux', 'x86_64', 'glibc') or numbers < OLDEST_GLIBC:
        raise SetupError(
            f'this machine is {system} on {machine} with {libc or "an unknown C library"} {version}; '
            'the ROS 2 wheels need Linux on x86_64 with glibc 2.28 or newer. '
            'Elsewhere install a ROS 2 distribution and build with colcon.'
        )


def check_compiler() -> None:
    done = subprocess.run([sys.executable, '-I', str(BUILD_INTERFACES), '--check'], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SetupError(done.stderr.strip().replace('error: ', '', 1))


def hash_of(files: list[Path], *facts: str) -> str:
    """A hash of the facts, and of the files' names and contents in a fixed order."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f'{path.relative_to(ROOT)} {len(content)}\n'.encode() + content)
    return digest.hexdigest()


class Environment:
    """The virtual environment of one ROS distribution, with its stamps and logs."""

    def __init__(self, path: Path, distro: str, lock: TextIO) -> None:
        self.path = path
        self.distro = distro
        self.lock = lock
        self.python = path / 'bin' / 'python'
        self.stamps = path / 'stamps'

    def pip(self, *arguments: str) -> list[str]:
        """The command that installs with the pinned versions."""
        pins = [REQUIREMENTS / 'constraints.txt', REQUIREMENTS / f'constraints-{self.distro}.txt']
        constraints = [word for path in pins for word in ('-c', str(path))]
        return [str(self.python), *PIP_INSTALL, *arguments, *constraints]

    def packages_key(self) -> str:
        ours = (f'ros-{self.distro}', f'constraints-{self.distro}')
        names = ('build', 'ros', 'runtime', 'dev', 'constraints', *ours)
        files = [REQUIREMENTS / f'{name}.txt' for name in names]
        return hash_of(files, RECIPE, self.distro, sys.version, sys.base_prefix, str(self.path))

    def is_current(self, step: str, key: str) -> bool:
        stamp = self.stamps / step
        return stamp.is_file() and stamp.read_text() == key and os.access(str(self.python), os.X_OK)

    def take(self, step: str, key: str, title: str, *commands: list[str]) -> None:
        """Runs one step's commands and shows one line, unless the step's stamp holds the key already."""
        if self.is_current(step, key):
            return
        started = time.monotonic()
        path = self.path / 'log' / f'{step}.log'
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('w', encoding='utf-8') as log:
            for command in commands:
                log.write(f'$ {" ".join(command)}\n')
                log.flush()
                code = self._run(command, log, title, started)
                if code:
                    raise SetupError(failure_text(title, code, path))
        show(title, started, end='\n')
        (self.stamps / step).write_text(key)

    def _run(self, command: list[str], log: TextIO, title: str, started: float) -> int:
        # the child holds the lock too: a killed set-up keeps the next one out until its pip has ended
        process = subprocess.Popen(command, cwd=str(ROOT), stdout=log, stderr=log, pass_fds=[self.lock.fileno()])
        while True:
            if sys.stdout.isatty():
                show(title, started, end='\r')
            try:
                return process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:
                process.wait()
                raise

    def start_over(self) -> None:
        """Removes what an older state or an interrupted run left, but no folder that somebody else made."""
        if self.path.exists():
            if not self.stamps.is_dir() and any(self.path.iterdir()):
                raise SetupError(
                    f'{self.path} is in the way: it was not made by this project. Move it away or remove it.'
                )
            print('  from nothing: Python or the requirements have changed, or the last run was interrupted')
            shutil.rmtree(str(self.path))
        self.stamps.mkdir(parents=True)


def failure_text(title: str, code: int, log: Path) -> str:
    tail = log.read_text(encoding='utf-8', errors='replace').splitlines()[-LOG_TAIL_LINES:]
    shown = '\n'.join(f'    {line[:LOG_LINE_LENGTH]}' for line in tail)
    return (
        f'{title}: ended with {code}; the end of {log}:\n{shown}\n'
        'What to do: if pip could not download, check the network and the package index; '
        'if a compiler failed, sudo apt install python3-dev build-essential. Then give the same command again.'
    )


def show(title: str, started: float, end: str) -> None:
    print(f'  {title:<40}{time.monotonic() - started:6.1f} s', end=end, flush=True)


def set_up(environment: Environment) -> None:
    """Takes every step whose stamp is missing or old."""
    check_distro(environment.distro)
    key = environment.packages_key()
    if not environment.is_current('packages', key):
        create(environment, key)
    build = [str(environment.python), str(BUILD_INTERFACES)]
    environment.take('interfaces', interfaces_key(key), 'message packages', build)
    install = environment.pip('--no-deps', '--use-pep517', '-e', '.')
    environment.take('project', project_key(), 'isaac_inference', install)
    link_shared_files(environment.path / 'share')
    add_tensorrt_bindings(environment)


def create(environment: Environment, key: str) -> None:
    """Makes the virtual environment and installs everything that comes from a package index."""
    for check in (check_python, check_platform, check_compiler):
        check()
    distro, python = environment.distro.capitalize(), platform.python_version()
    print(f'Setting up {environment.path.name}: ROS 2 {distro}, Python {python}; about a minute')
    environment.start_over()
    # not sys.executable, which may be the Python of the very environment that is made anew
    base_python = getattr(sys, '_base_executable', sys.executable)
    environment.take(
        'venv',
        key,
        'virtual environment',
        [base_python, '-I', '-m', 'venv', str(environment.path)],
        environment.pip('-r', str(REQUIREMENTS / 'build.txt')),
    )
    names = (f'ros-{environment.distro}', 'runtime', 'dev')
    wanted = [word for name in names for word in ('-r', str(REQUIREMENTS / f'{name}.txt'))]
    install = environment.pip(*WHEELS_ONLY, *wanted)
    environment.take('packages', key, 'ROS 2, ONNX Runtime, OpenCV, tools', install)


def interfaces_key(packages_key: str) -> str:
    """Changes with the messages, with how they are built, and with the wheels they are built against."""
    files = [path for pattern in ('*.py', '*/*.*', '*/*/*.*') for path in BUILD_INTERFACES.parent.glob(pattern)]
    return hash_of([path for path in files if path.suffix in {'.py', '.xml', '.txt', '.msg', '.srv'}], packages_key)


def project_key() -> str:
    """Changes with the metadata; modules and data files are used in place."""
    return hash_of([ROOT / name for name in METADATA])


def link_shared_files(share: Path) -> None:
    """Puts the data files where ROS looks for them: pip leaves them out of an editable install."""
    targets = {share / 'isaac_inference' / name: name for name in ('config', 'launch', 'rviz', 'package.xml')}
    targets[share / 'ament_index/resource_index/packages/isaac_inference'] = 'resource/isaac_inference'
    for link, name in targets.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(ROOT / name)


def add_tensorrt_bindings(environment: Environment) -> None:
    """Installs TensorRT's bindings, several versions side by side; without them one test is skipped, so a failure is
    one line and nothing more.
    """
    wanted = REQUIREMENTS / 'tensorrt-bindings.txt'
    pins = [line for line in wanted.read_text(encoding='utf-8').splitlines() if '==' in line and line[0] != '#']
    folder = environment.path / 'tensorrt'
    installs = [
        environment.pip(
            *WHEELS_ONLY, '--no-deps', '--retries', '1', '--upgrade', '--target', str(folder / pin.split('==')[1]), pin
        )
        for pin in pins
    ]
    try:
        environment.take('tensorrt', hash_of([wanted], environment.packages_key()), 'TensorRT bindings', *installs)
    except SetupError as error:
        print(f'  without TensorRT bindings, the test of its names is skipped: {str(error).splitlines()[0]}')


def add_benchmark_tools(environment: Environment) -> None:
    wanted = REQUIREMENTS / 'benchmark.txt'
    install = environment.pip(*WHEELS_ONLY, '-r', str(wanted))
    environment.take('benchmark', hash_of([wanted], environment.packages_key()), 'benchmark tools', install)


def wait_for(lock: TextIO) -> None:
    """Keeps two set-ups, say of two terminals, apart."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('Waiting for another set-up of this folder to end', flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--distro', default='jazzy', help=f'ROS 2 distribution: {" or ".join(DISTROS)}')
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='the virtual environment to make')
    parser.add_argument('--benchmark', action='store_true', help='install the benchmark tools as well')
    arguments = parser.parse_args()
    with Path(__file__).open() as lock:
        try:
            wait_for(lock)
            environment = Environment(arguments.venv.resolve(), arguments.distro, lock)
            set_up(environment)
            if arguments.benchmark:
                add_benchmark_tools(environment)
        except SetupError as error:
            print(f'\nerror: {error}', file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print('\ninterrupted; the same command takes it up again', file=sys.stderr)
            return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
