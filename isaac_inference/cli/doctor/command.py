# SPDX-License-Identifier: Apache-2.0
"""isaac-inference doctor: what this machine offers, and what is wrong with it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from isaac_inference.cli.doctor.finding import Finding, module_finding
from isaac_inference.cli.doctor.gpu import check_gpu
from isaac_inference.cli.shared.console import console
from isaac_inference.engines import available_backends
from isaac_inference.engines.registry import cpu_backend
from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES, dds_profile_variable

MESSAGES = (
    'sensor_msgs',
    'geometry_msgs',
    'vision_msgs',
    'diagnostic_msgs',
    'lifecycle_msgs',
    'composition_interfaces',
)
DISTRO_PYTHON = {'humble': (3, 10), 'jazzy': (3, 12), 'kilted': (3, 12), 'lyrical': (3, 14)}


def add_command(commands: Any) -> None:
    """Add `doctor` to the command line."""
    command = commands.add_parser('doctor', help='print what this machine offers; non-zero exit if something is wrong')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Print the report; 1 if a finding is fatal."""
    table = Table('subject', 'found', 'advice', title='isaac-inference doctor')
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        advice = f'wrong: {finding.advice}' if finding.fatal else finding.advice
        table.add_row(finding.subject, finding.fact, advice, style='red' if finding.fatal else None)
    console().print(table)
    wrong = sum(finding.fatal for finding in findings)
    print(f'{wrong} problem{"s" * (wrong != 1)} found, see the advice' if wrong else 'no problems found')
    return 1 if wrong else 0


def check_python() -> Iterator[Finding]:
    """Interpreter, and whether it is the one that the sourced distribution was built for."""
    yield Finding('python', f'{platform.python_version()} at {sys.executable}')
    distro = os.environ.get('ROS_DISTRO', '')
    wanted = DISTRO_PYTHON.get(distro)
    sourced = Path('/opt/ros', distro).is_dir() if distro else False
    if sourced and wanted and sys.version_info[:2] != wanted:
        yield Finding(
            'python',
            f'ROS {distro} is built for Python {wanted[0]}.{wanted[1]}',
            f'run with /usr/bin/python3, outside conda and virtual environments of another Python; this is '
            f'{sys.version_info[0]}.{sys.version_info[1]}',
            fatal=True,
        )


def check_ros() -> Iterator[Finding]:
    """rclpy, the middleware and the message packages."""
    yield Finding('ROS distribution', os.environ.get('ROS_DISTRO', 'none sourced'))
    yield module_finding('rclpy', 'source /opt/ros/DISTRO/setup.bash, or run "make setup"')
    yield from _middleware()
    for name in MESSAGES:
        yield module_finding(
            f'{name}.{"srv" if name == "composition_interfaces" else "msg"}',
            f'apt install ros-$ROS_DISTRO-{name.replace("_", "-")}, or run "make setup"',
        )
    yield module_finding(
        'isaac_ros_tensor_list_interfaces.msg', 'needed only between processes: build it from interfaces/', fatal=False
    )


def check_dds_profile() -> Iterator[Finding]:
    """Whether a Fast DDS profile for large images is set and readable."""
    paths = {os.environ[name] for name in DDS_PROFILE_VARIABLES if os.environ.get(name)}
    if not paths:
        yield Finding(
            'Fast DDS profile',
            'none set',
            'large images between processes are slow and get lost: export '
            f'{dds_profile_variable()} to config/fastdds_large_images.xml (the launch file does)',
        )
    for path in sorted(paths):
        try:
            ElementTree.parse(path)
            yield Finding('Fast DDS profile', path)
        except (OSError, ElementTree.ParseError) as error:
            yield Finding(
                'Fast DDS profile', path, f'cannot be read ({error}): correct {dds_profile_variable()}', fatal=True
            )


def check_vision() -> Iterator[Finding]:
    """NumPy, OpenCV and cv_bridge, which clash when built against different NumPy versions."""
    yield module_finding('numpy', 'pip install numpy')
    yield module_finding('cv2', 'apt install python3-opencv, or pip install opencv-python')
    yield module_finding('cv_bridge', 'optional, for rare image encodings only', fatal=False)
    yield module_finding('yaml', 'apt install python3-yaml')
    yield module_finding('onnx', 'pip install onnx: reads the model card')


def check_engines() -> Iterator[Finding]:
    """Backends, with what each runs on."""
    backends = available_backends()
    for backend in backends:
        yield Finding(
            f'engine {backend.name}', f'version {backend.version}' if backend.version else 'installed, version unknown'
        )
    if not backends:
        yield Finding('engines', 'none', cpu_backend().install, fatal=True)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_ros,
    check_dds_profile,
    check_vision,
    check_engines,
    check_gpu,
)


def _middleware() -> Iterator[Finding]:
    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        name = get_rmw_implementation_identifier()
    except Exception as error:
        yield Finding('middleware', f'{type(error).__name__}: {error}', 'install rmw-fastrtps-cpp', fatal=True)
        return
    yield Finding('middleware', f'{name}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}')
