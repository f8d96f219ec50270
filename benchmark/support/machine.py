# SPDX-License-Identifier: Apache-2.0
"""What a measurement ran on, without what would name the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines.cpus import usable_cpus

PACKAGES = (
    'numpy',
    'opencv-python-headless',
    'onnxruntime',
    'ros-rclpy',
    'ros-rmw-fastrtps-cpp',
    'ros-fastrtps',
    'ros-sensor-msgs',
    'pycocotools',
    'scipy',
    'small_gicp',
    'pycuda',
)


def describe() -> dict[str, str]:
    """Name to fact, all text."""
    facts = {
        'CPU': _cpu_model(),
        'cores': f'{usable_cpus()} usable, {psutil.cpu_count(logical=True)} logical',
        'memory': f'{psutil.virtual_memory().total / 2**30:.0f} GiB',
        'virtual machine': _hypervisor(),
        'kernel': platform.release().split('-')[0],
        'system': platform.freedesktop_os_release().get('PRETTY_NAME', ''),
        'Python': platform.python_version(),
        'ROS distribution': os.environ.get('ROS_DISTRO', ''),
    }
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    facts.update(_gpu())
    return {name: fact for name, fact in facts.items() if fact}


def _gpu() -> dict[str, str]:
    if why_no_gpu():
        return {}
    from isaac_inference.cuda.device import gpu

    one = gpu()
    facts = {'GPU': one.name, 'GPU driver, CUDA': one.driver_version}
    try:
        import tensorrt

        facts['TensorRT'] = tensorrt.__version__
    except ImportError:
        pass
    return facts


def _cpu_model() -> str:
    return _from_cpuinfo('model name') or platform.machine()


def _hypervisor() -> str:
    return 'yes' if 'hypervisor' in _from_cpuinfo('flags').split() else 'no'


def _from_cpuinfo(key: str) -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return ''
    return next((line.partition(':')[2].strip() for line in lines if line.startswith(key)), '')
