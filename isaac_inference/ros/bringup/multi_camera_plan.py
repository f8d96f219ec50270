# SPDX-License-Identifier: Apache-2.0
"""What `multi_camera.launch.py` starts, as data: several simulated cameras around one table, and what fuses them.

The cameras share one inference node; what looks through a camera is in a namespace of its name. The fusion node takes
what their pose nodes measure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.demo_plan import plan_of_demo, seed_of
from isaac_inference.ros.bringup.graph import DEMO_CAMERA, NodeSpec, found_by, perception_graph
from isaac_inference.ros.bringup.launch_plan import (
    LOG_LEVEL,
    RESPAWN,
    SWITCH,
    LaunchArgument,
    LaunchPlan,
)
from isaac_inference.ros.bringup.names import check_files, switch
from isaac_inference.ros.bringup.networks.paths import absolute, card_of
from isaac_inference.ros.bringup.pipelines.placed import INFERENCE, joined
from isaac_inference.ros.nodes.sim_camera.parameters import MOST_CAMERAS, SimCameraParameters
from isaac_inference.serving.streams.names import check_streams
from isaac_inference.stages.poses import PoseMethod

NAMES = ('front', 'left', 'right', 'rear')  # of the first cameras; further ones have numbers
WORLD = 'world'
RATE_HZ = 10.0
CALIBRATION_ERROR = 0.002  # m, and rad: what a good calibration leaves, and what the fusion node is told of it
ARGUMENTS = (
    LaunchArgument('cameras', '3', 'how many cameras, or their names: front,left'),
    LaunchArgument('seed', '1', 'random seed of the scene'),
    LaunchArgument('model', '', "ONNX model; empty takes the package's own"),
    LaunchArgument('method', 'auto', 'pose estimation method', tuple(method.value for method in PoseMethod)),
    LaunchArgument('target_frame', WORLD, 'frame of the fused poses: world or base_link'),
    LaunchArgument('rate_hz', f'{RATE_HZ:g}', 'images per second of each camera'),
    LaunchArgument('synchronised', 'true', 'one trigger for all cameras; false: each at a time of its own', SWITCH),
    LaunchArgument(
        'calibration_error',
        f'{CALIBRATION_ERROR:g}',
        'standard deviation of what is wrong with where cameras are, m, and with how they are turned, rad',
    ),
    LaunchArgument('annotate', 'true', 'start the nodes that draw pictures', SWITCH),
    LaunchArgument('rviz', 'false', 'start rviz2', SWITCH),
    LaunchArgument('composed', 'true', 'all nodes in one container (true) or one process per node (false)', SWITCH),
    RESPAWN,
    LOG_LEVEL,
)
_MOST = {'rate_hz': 1000.0, 'calibration_error': 1.0}  # that the nodes take
_WAIT_S = 0.5  # on a small processor frames of cameras that take turns are not all done at once
_CONTAINER = 'multi_camera_container'


def multi_camera_plan(given: Mapping[str, str], pushed: str = '') -> LaunchPlan:
    """From arguments to nodes and programs.

    Args:
        given: every argument's value, by name.
        pushed: the namespace that including launch files have pushed.

    Raises:
        ConfigError: an argument is unusable, or a file of the package is missing.
    """
    check_files(given, 'model')
    seed, cameras = seed_of(given), camera_names(given['cameras'])
    rate_hz, error = (_number(given, name, most) for name, most in _MOST.items())
    synchronised = switch('synchronised', given['synchronised'])
    simulator: dict[str, Any] = {'seed': seed, 'rate_hz': rate_hz, **DEMO_CAMERA}
    if not synchronised:
        simulator['camera_phases'] = [index / len(cameras) for index in range(len(cameras))]
    nodes = multi_camera_graph(
        cameras,
        model=absolute(given['model']) or str(demo_model()),
        simulator=simulator,
        calibration_error=error,
        annotate=switch('annotate', given['annotate']),
        pose_parameters={'method': given['method']},
        fusion={'target_frame': given['target_frame'], 'slop_s': min(1.0 / rate_hz, 1.0), 'wait_s': _WAIT_S},
    )
    return plan_of_demo(nodes, given, pushed, _CONTAINER, view='rviz/multi_camera.rviz')


def multi_camera_graph(
    cameras: Sequence[str],
    *,
    model: str,
    simulator: Mapping[str, Any],
    calibration_error: float = 0.0,
    annotate: bool = True,
    pose_parameters: Mapping[str, Any] | None = None,
    fusion: Mapping[str, Any] | None = None,
) -> tuple[NodeSpec, ...]:
    """One simulator of all cameras, the graph of each around one inference node, and the fusion node.

    Args:
        cameras: their names.
        model: path of the ONNX model.
        simulator: further parameters of the simulated cameras.
        calibration_error: standard deviation of where cameras are said to be, m, and how they are turned, rad; the
            fusion node is told of it.
        annotate: whether pictures are drawn.
        pose_parameters: parameters of the pose nodes.
        fusion: further parameters of the fusion node.
    """
    wrong = dict.fromkeys(('calibration_error_m', 'calibration_error_rad'), calibration_error)
    trusted = dict.fromkeys(('extrinsic_sigma_m', 'extrinsic_sigma_rad'), calibration_error)
    of_all = {'model': model, 'streams': list(cameras), 'target_frame': WORLD}
    return (
        NodeSpec.of('sim_camera', {**wrong, **simulator, 'cameras': list(cameras)}),
        *_of_cameras(cameras, model, annotate, pose_parameters),
        NodeSpec.of('fusion', {**of_all, **trusted, **(fusion or {})}),
    )


def _of_cameras(
    cameras: Sequence[str], model: str, annotate: bool, pose_parameters: Mapping[str, Any] | None
) -> list[NodeSpec]:
    """The graph of each camera around one inference node, which does not wait actively beside a simulator."""
    graph = perception_graph(
        model=model,
        poses=True,
        track=True,
        annotate=annotate,
        finds=found_by(card_of(model)),
        pose_parameters=pose_parameters,
    )
    return [
        dataclasses.replace(spec, parameters={**spec.parameters, 'onnxruntime.spinning': False})
        if spec.name == INFERENCE
        else spec
        for spec in joined(dict.fromkeys(cameras, graph), '')
    ]


def camera_names(given: str) -> list[str]:
    """The names of the cameras: as they are given, or of so many.

    Raises:
        ConfigError: none or too many, or names that cannot be topics.
    """
    if given.strip().removeprefix('-').isdecimal():
        count = int(given)
        if not 1 <= count <= MOST_CAMERAS:
            raise ConfigError(f'launch argument cameras: got {count}, expected 1 to {MOST_CAMERAS}')
        return [*NAMES[:count], *(f'camera_{number}' for number in range(len(NAMES) + 1, count + 1))]
    names = [name.strip() for name in given.split(',')]
    try:
        SimCameraParameters(cameras=tuple(names)).check_cameras()
        check_streams(names, 'cameras')  # which are these names, too
    except ConfigError as error:
        raise ConfigError(f'launch argument cameras: got {given!r}: {error}') from None
    return names


def _number(given: Mapping[str, str], name: str, most: float) -> float:
    try:
        value = float(given[name])
    except ValueError:
        value = -1.0
    if not (0.0 < value <= most or (value == 0.0 and name == 'calibration_error')):
        raise ConfigError(f'launch argument {name}: got {given[name]!r}, expected a number above 0, at most {most:g}')
    return value
