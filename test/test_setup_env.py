# SPDX-License-Identifier: Apache-2.0
"""Tests of the set-up: what it refuses and how it says so, and what it patches."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parent.parent


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


setup_env = load('requirements/setup_env.py')
build = load('interfaces/build.py')


@pytest.fixture
def environment(tmp_path: Path) -> setup_env.Environment:
    with (tmp_path / 'lock').open('w') as lock:
        yield setup_env.Environment(tmp_path / 'venv', 'jazzy', lock)


def test_unknown_distro_is_refused_with_both_ways_out() -> None:
    with pytest.raises(setup_env.SetupError, match=r"'humble'.*jazzy and kilted.*make ROS_DISTRO=jazzy.*colcon build"):
        setup_env.check_distro('humble')


@pytest.mark.parametrize('version', [(3, 9, 18), (3, 14, 0)])
def test_unsupported_python_is_refused(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env.sys, 'version_info', version)
    with pytest.raises(setup_env.SetupError, match=r'Python 3.10 to 3.13 is needed.*make PYTHON='):
        setup_env.check_python()


def test_machine_without_wheels_is_sent_to_a_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env.platform, 'machine', lambda: 'aarch64')
    with pytest.raises(setup_env.SetupError, match=r'aarch64.*x86_64.*ROS 2 distribution'):
        setup_env.check_platform()


def test_missing_compiler_is_named_with_the_packages_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ('CC', 'CXX'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('PATH', '/nowhere')
    with pytest.raises(build.BuildError, match=r'a C compiler .*a C\+\+ compiler .*apt install .*build-essential'):
        build.check_toolchain()


def test_folder_of_somebody_else_is_left_alone(environment: setup_env.Environment) -> None:
    (environment.path / 'precious').mkdir(parents=True)
    with pytest.raises(setup_env.SetupError, match='not made by this project'):
        environment.start_over()
    assert (environment.path / 'precious').is_dir()


def test_interrupted_set_up_starts_over(environment: setup_env.Environment) -> None:
    environment.start_over()
    (environment.path / 'half').touch()
    environment.start_over()
    assert [path.name for path in environment.path.iterdir()] == ['stamps']


def test_failed_step_leaves_no_stamp_and_shows_its_log(environment: setup_env.Environment) -> None:
    environment.start_over()
    command = [sys.executable, '-c', 'print("no disk left"); raise SystemExit(3)']
    with pytest.raises(setup_env.SetupError, match=r'(?s)packages: ended with 3.*no disk left.*What to do'):
        environment.take('step', 'key', 'packages', command)
    assert not (environment.stamps / 'step').exists()


def test_hash_changes_with_a_fact_and_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, 'ROOT', tmp_path)
    file = tmp_path / 'file'
    file.write_text('a')
    first = setup_env.hash_of([file], 'x')
    assert setup_env.hash_of([file], 'x') == first
    assert setup_env.hash_of([file], 'y') != first
    file.write_text('b')
    assert setup_env.hash_of([file], 'x') != first


def test_wheels_are_patched_once(tmp_path: Path) -> None:
    path = tmp_path / 'share' / 'std_msgs' / 'cmake' / 'export.cmake'
    path.parent.mkdir(parents=True)
    python, site = '/opt/python/cp311-cp311/include/python3.11', '/opt/python/cp311-cp311/lib/python3.11/site-packages'
    path.write_text(f'INCLUDES "${{prefix}}/include;{python};{site}/numpy/_core/include"')
    build.patch_wheels(tmp_path)
    wanted = f'INCLUDES "${{prefix}}/include;{sysconfig.get_path("include")};{np.get_include()}"'
    assert path.read_text() == wanted
    build.patch_wheels(tmp_path)
    assert path.read_text() == wanted


def test_package_waits_for_those_that_it_needs(tmp_path: Path) -> None:
    for name, depends in (('first', ['std_msgs']), ('second', ['first', 'std_msgs'])):
        (tmp_path / name).mkdir()
        lines = ''.join(f'<depend>{depend}</depend>' for depend in depends)
        (tmp_path / name / 'package.xml').write_text(f'<package><name>{name}</name>{lines}</package>')
    needs = {package.name: package.needs for package in build.find_packages(tmp_path)}
    assert needs == {'first': frozenset(), 'second': {'first'}}


@pytest.mark.parametrize(
    ('variables', 'message'),
    [
        (['IMAGES=0'], 'MODEL is missing'),
        (['MODEL=setup.py'], 'IMAGES is missing'),
        (['MODEL=no_such.onnx', 'IMAGES=0'], "no file 'no_such.onnx'"),
    ],
)
def test_demo_says_what_is_missing_before_it_sets_anything_up(variables: list[str], message: str) -> None:
    done = subprocess.run(['make', 'demo', *variables], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode != 0
    assert message in done.stderr
    assert 'Setting up' not in done.stdout
