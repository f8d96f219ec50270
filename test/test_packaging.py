# SPDX-License-Identifier: Apache-2.0
"""Tests of the package's metadata: what setup.py, package.xml and requirements/ promise is there."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import setuptools  # before distutils, which it replaces
import yaml

from distutils.core import run_setup  # isort: skip
from packaging.requirements import Requirement
from support.waiting import LIMIT_S

import isaac_inference
from isaac_inference.ros.bringup.node_list import MAIN_MODULES

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / 'requirements'
NODES = (
    'PreprocessNode',
    'InferenceNode',
    'DetectionNode',
    'CropsNode',
    'KeypointsNode',
    'SegmentationNode',
    'GroundNode',
    'TagsNode',
    'CameraNode',
    'AnnotateNode',
    'BudgetNode',
    'TrackNode',
    'PoseNode',
    'SkeletonsNode',
    'SimCameraNode',
    'CompletionNode',
    'DepthNode',
    'StereoNode',
    'FusionNode',
)


@pytest.fixture(scope='module')
def setup_py() -> setuptools.Distribution:
    """What setup.py declares, without building anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return run_setup('setup.py', stop_after='init')


@pytest.fixture(scope='module')
def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def entry_points(setup_py: setuptools.Distribution, group: str) -> list[EntryPoint]:
    pairs = [line.split(' = ') for line in setup_py.entry_points[group]]
    return [EntryPoint(name=name, value=value, group=group) for name, value in pairs]


def pins(distro: str, python: str) -> Counter[str]:
    """name -> how many versions are pinned for a Python, of everything in the constraints of one ROS distribution."""
    lines = [
        line
        for name in ('constraints.txt', f'constraints-{distro}.txt')
        for line in (REQUIREMENTS / name).read_text(encoding='utf-8').splitlines()
        if line and not line.startswith('#')
    ]
    pinned = [Requirement(line) for line in lines]
    assert all(re.fullmatch(r'==[\w.]+', str(item.specifier)) for item in pinned), lines
    return Counter(
        normalised(item.name) for item in pinned if not item.marker or item.marker.evaluate({'python_version': python})
    )


def normalised(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def test_version_is_the_same_everywhere(setup_py: setuptools.Distribution, package_xml: ElementTree.Element) -> None:
    assert setup_py.get_version() == isaac_inference.__version__
    assert package_xml.findtext('version') == isaac_inference.__version__


def test_package_xml_describes_an_ament_python_package(package_xml: ElementTree.Element) -> None:
    assert package_xml.get('format') == '3'
    assert package_xml.findtext('name') == 'isaac_inference'
    assert package_xml.findtext('license') == 'Apache-2.0'
    assert package_xml.findtext('export/build_type') == 'ament_python'


def test_package_xml_needs_only_what_rosdep_can_install(package_xml: ElementTree.Element) -> None:
    known = yaml.safe_load((ROOT / 'test' / 'support' / 'rosdep_keys.yaml').read_text(encoding='utf-8'))
    needed = [element.text for element in package_xml if element.tag.endswith('depend')]
    assert Counter(needed) == Counter(set(needed))
    assert set(needed) == {*known['released'], *known['ubuntu']}, 'look the key up in rosdep, and add it to the list'
    assert not set(needed) & set(known['missing'])


def test_the_readme_has_pip_install_what_rosdep_does_not_know() -> None:
    known = yaml.safe_load((ROOT / 'test' / 'support' / 'rosdep_keys.yaml').read_text(encoding='utf-8'))
    [line] = [line for line in (ROOT / 'README.md').read_text('utf-8').splitlines() if 'which rosdep does not' in line]
    commands = re.findall(r'(?:apt|pip) install ([^#&]+)', line)
    assert {name for command in commands for name in command.split()} <= set(known['missing']), line


def test_the_component_index_names_every_plugin_and_its_container(setup_py: setuptools.Distribution) -> None:
    """`ros2 component types` reads it; a C++ container that is asked for one of them says which file it can't load."""
    index = 'resource/rclcpp_components/isaac_inference'
    assert dict(setup_py.data_files)['share/ament_index/resource_index/rclcpp_components'] == [index]
    lines = (ROOT / index).read_text(encoding='utf-8').splitlines()
    assert [line.split(';')[0] for line in lines] == [
        point.name for point in entry_points(setup_py, 'rclpy_components')
    ]
    assert {line.split(';')[1] for line in lines} == {'lib/isaac_inference/component_container'}


def test_colcon_test_runs_pytest(setup_py: setuptools.Distribution, package_xml: ElementTree.Element) -> None:
    """Without pytest in this list it runs unittest, which finds no test and is content."""
    needed = {element.text for element in package_xml.iterfind('test_depend')}
    assert 'pytest' in setup_py.extras_require['test']
    assert {f'python3-{name}' for name in setup_py.extras_require['test']} == needed


def test_every_component_has_an_executable(setup_py: setuptools.Distribution) -> None:
    components = {point.name: point for point in entry_points(setup_py, 'rclpy_components')}
    scripts = [point.name for point in entry_points(setup_py, 'console_scripts')]
    executables = {module: name for name, module in MAIN_MODULES.items() if name in scripts}
    assert components.keys() == {f'isaac_inference::{node}' for node in NODES}
    for point in components.values():
        name = point.module.removeprefix('isaac_inference.ros.nodes.').removesuffix('.node')
        assert executables[point.module] == f'{name}_node'


@pytest.mark.parametrize('group', ['console_scripts', 'rclpy_components'])
def test_entry_points_can_be_imported(setup_py: setuptools.Distribution, group: str) -> None:
    for point in entry_points(setup_py, group):
        assert hasattr(importlib.import_module(point.module), point.attr), point
    for module in MAIN_MODULES.values():
        assert hasattr(importlib.import_module(module), 'main'), module


@pytest.mark.parametrize('folder', ['config', 'launch', 'rviz'])
def test_shared_files_are_installed(setup_py: setuptools.Distribution, folder: str) -> None:
    installed = {name: target for target, names in setup_py.data_files for name in names}
    wanted = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*') if path.is_file()]
    wanted = [path for path in wanted if '__pycache__' not in path.parts]
    assert wanted, f'{folder}/ is empty'
    assert {str(path): f'share/isaac_inference/{path.parent}' for path in wanted}.items() <= installed.items()


def test_package_is_registered_in_the_ament_index(setup_py: setuptools.Distribution) -> None:
    installed = dict(setup_py.data_files)
    assert installed['share/ament_index/resource_index/packages'] == ['resource/isaac_inference']
    assert 'package.xml' in installed['share/isaac_inference']
    assert (ROOT / 'resource' / 'isaac_inference').is_file()


def test_every_module_and_label_file_is_installed(setup_py: setuptools.Distribution) -> None:
    root = ROOT / 'isaac_inference'
    folders = {str(path.parent.relative_to(ROOT)).replace('/', '.') for path in root.rglob('*.py')}
    assert folders <= set(setup_py.packages), 'a folder of modules lacks its __init__.py'
    files = {str(path.relative_to(root)) for suffix in ('yaml', 'txt') for path in root.rglob(f'*.{suffix}')}
    assert files <= set(setup_py.package_data['isaac_inference'])


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13'])
@pytest.mark.parametrize('distro', ['jazzy', 'kilted'])
def test_requirements_are_pinned_to_one_version(distro: str, python: str) -> None:
    groups = ('build', 'ros', f'ros-{distro}', 'runtime', 'dev', 'benchmark')
    lines = [line for name in groups for line in (REQUIREMENTS / f'{name}.txt').read_text('utf-8').splitlines()]
    wanted = {normalised(line) for line in lines if line and not line.startswith(('#', '-r'))}
    pinned = pins(distro, python)
    assert wanted <= pinned.keys()
    assert set(pinned.values()) == {1}, pinned.most_common(3)


def test_fast_dds_accepts_the_profile_for_large_images() -> None:
    """Fast DDS reports what it can't read on its error stream and goes on with the defaults."""
    profile = str(ROOT / 'config' / 'fastdds_large_images.xml')
    node = 'import rclpy; rclpy.init(); rclpy.create_node("profile_check"); rclpy.shutdown()'
    environment = {'FASTRTPS_DEFAULT_PROFILES_FILE': profile, 'FASTDDS_DEFAULT_PROFILES_FILE': profile}
    done = subprocess.run(
        [sys.executable, '-c', node], env=os.environ | environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    assert 'XMLPARSER' not in done.stdout + done.stderr
