# SPDX-License-Identifier: Apache-2.0
"""Package metadata: what is installed, the executables, and the nodes that a component container can load."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'isaac_inference'
ROOT = Path(__file__).resolve().parent
NODE_LIST = runpy.run_path(str(ROOT / NAME / 'ros' / 'bringup' / 'node_list.py'))


def version() -> str:
    found = re.search(r"^__version__ = '([^']+)'", (ROOT / NAME / '__init__.py').read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"{NAME}/__init__.py: no line like __version__ = '1.2.3' found")
    return found[1]


def module_files(*suffixes: str) -> list[str]:
    """The files beside the modules that must be installed too, such as lists of labels."""
    root = ROOT / NAME
    return sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.suffix in suffixes)


def shared_files(*folders: str) -> list[tuple[str, list[str]]]:
    """Every file under the folders as (installed folder, files), in the same layout below share/."""
    rows: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                relative = path.relative_to(ROOT)
                rows.setdefault(f'share/{NAME}/{relative.parent}', []).append(str(relative))
    return list(rows.items())


setup(
    name=NAME,
    version=version(),
    description='Perception for ROS 2 robots: small composable nodes around one model file.',
    license='Apache-2.0',
    maintainer='isaac_inference maintainers',
    maintainer_email='maintainers@isaac-inference.invalid',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: module_files('.yaml', '.txt', '.onnx', '.cu', '.jpg')},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        ('share/ament_index/resource_index/rclcpp_components', [f'resource/rclcpp_components/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared_files('config', 'launch', 'rviz', 'examples'),
    ],
    # The rest is in package.xml: the OpenCV of a ROS distribution, for one, has no Python metadata.
    install_requires=['setuptools'],
    extras_require={
        'test': ['pytest', 'pytest-timeout', 'hypothesis']
    },  # or colcon test takes unittest, and runs nothing
    zip_safe=False,
    entry_points={
        'console_scripts': [
            f'isaac-inference = {NAME}.cli.main:main',
            *NODE_LIST['console_scripts'](),
        ],
        'rclpy_components': NODE_LIST['component_entry_points'](),
    },
)
