# SPDX-License-Identifier: Apache-2.0
"""Tests of interfaces/: the installed messages are those that the rest of the ROS world speaks."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

INTERFACES = Path(__file__).resolve().parent.parent / 'interfaces'
# as published by the original packages; a type with another hash talks to nobody
PUBLISHED = {
    'composition_interfaces/srv': {
        'ListNodes': 'RIHS01_13f30d73a74c844ee4bacf78f3680f08777cad137f10fbd6a648544cc7b59d2a',
        'LoadNode': 'RIHS01_2e521ef6066fba6d7fc3a3b175d486709f01b4d738d9a59188858546fc8e5acd',
        'UnloadNode': 'RIHS01_dce562f83adc735ddcfe9dfb927b89293d4dd0fe2b8fc91e772fb83e970a43b0',
    },
    'isaac_ros_tensor_list_interfaces/msg': {
        'Tensor': 'RIHS01_4f84320fd44d2c4f4bfa5562a6c47c4403be8bdb7d25fe5df37f4e2786fcd66d',
        'TensorList': 'RIHS01_498b4418eed651d1eb843a154ac3dd6b7612b3fa851e1bd930f9f0c2e862cf6c',
        'TensorShape': 'RIHS01_3e0d2f347cd48e20550029e8754bb509be05e11d073ed43888fded7fb686cd60',
    },
    'tf2_msgs/msg': {
        'TFMessage': 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087',
    },
    'vision_msgs/msg': {
        'BoundingBox2D': 'RIHS01_008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
        'BoundingBox2DArray': 'RIHS01_2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691',
        'BoundingBox3D': 'RIHS01_bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698',
        'BoundingBox3DArray': 'RIHS01_a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6',
        'Classification': 'RIHS01_f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
        'Detection2D': 'RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
        'Detection2DArray': 'RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
        'Detection3D': 'RIHS01_ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b',
        'Detection3DArray': 'RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018',
        'LabelInfo': 'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
        'ObjectHypothesis': 'RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
        'ObjectHypothesisWithPose': 'RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
        'Point2D': 'RIHS01_eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
        'Pose2D': 'RIHS01_b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
        'VisionClass': 'RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
        'VisionInfo': 'RIHS01_95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
    },
}
TYPE_HASHES = {f'{folder}/{name}': value for folder, types in PUBLISHED.items() for name, value in types.items()}


def share_folder(package: str) -> Path:
    """Where the package is installed: in the virtual environment, or in a sourced ROS distribution."""
    prefixes = [sys.prefix, *os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)]
    for prefix in prefixes:
        if (share := Path(prefix, 'share', package)).is_dir():
            return share
    raise AssertionError(f'{package} is installed in none of {prefixes}; run `make setup`')


def installed_hash(name: str) -> str:
    """The type hash of `package/msg/Type` that its installed description holds."""
    package, kind, type_name = name.split('/')
    description = share_folder(package) / kind / f'{type_name}.json'
    if not description.is_file() and os.environ.get('ROS_DISTRO') == 'humble':
        pytest.skip('ROS 2 Humble has no type hashes')
    rows = json.loads(description.read_text(encoding='utf-8'))['type_hashes']
    return next(row['hash_string'] for row in rows if row['type_name'] == name)


@pytest.mark.parametrize('name', TYPE_HASHES)
def test_type_hash_is_the_published_one(name: str) -> None:
    assert installed_hash(name) == TYPE_HASHES[name]


def test_every_definition_has_its_hash_here() -> None:
    definitions = {
        f'{path.parents[1].name}/{path.parent.name}/{path.stem}'
        for kind in ('msg', 'srv')
        for path in INTERFACES.glob(f'*/{kind}/*.{kind}')
    }
    assert definitions == TYPE_HASHES.keys()


@pytest.mark.parametrize('manifest', sorted(INTERFACES.glob('*/CMakeLists.txt')), ids=lambda path: path.parent.name)
def test_every_definition_is_built(manifest: Path) -> None:
    listed = set(re.findall(r'"((?:msg|srv)/\w+\.(?:msg|srv))"', manifest.read_text(encoding='utf-8')))
    there = {f'{kind}/{path.name}' for kind in ('msg', 'srv') for path in manifest.parent.glob(f'{kind}/*.{kind}')}
    assert listed == there


def test_colcon_leaves_the_folder_alone() -> None:
    assert (INTERFACES / 'COLCON_IGNORE').is_file()
