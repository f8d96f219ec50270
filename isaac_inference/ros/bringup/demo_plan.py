# SPDX-License-Identifier: Apache-2.0
"""What `demo.launch.py` starts, as data: the whole graph on a simulated camera, and a planner behind it.

The camera is in the graph's own container: in a process of its own on the same two cores it costs a fifth more CPU time
a frame (its images are then serialised, and read twice) than the interpreter lock that it shares here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from isaac_inference.errors import ConfigError
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.graph import DEMO_CAMERA, NodeSpec, found_by, perception_graph
from isaac_inference.ros.bringup.launch_plan import (
    LOG_LEVEL,
    RESPAWN,
    LaunchArgument,
    LaunchPlan,
    Program,
)
from isaac_inference.ros.bringup.names import SWITCH, check_files, resolve, switch
from isaac_inference.ros.bringup.networks.paths import absolute, card_of
from isaac_inference.ros.runtime.resources import shared_file
from isaac_inference.stages.poses import PoseMethod

ARGUMENTS = (
    LaunchArgument('seed', '1', 'random seed of the scene'),
    LaunchArgument('model', '', "ONNX model; empty takes the package's own"),
    LaunchArgument('method', 'auto', 'pose estimation method', tuple(method.value for method in PoseMethod)),
    LaunchArgument('target_frame', 'base_link', "frame of the poses; empty: the camera's optical frame"),
    LaunchArgument('planner', 'true', 'start examples/pick_planner.py, which publishes grasp and pre_grasp', SWITCH),
    LaunchArgument('target_class', '', 'class that the planner picks; empty: any'),
    LaunchArgument('rviz', 'false', 'start rviz2', SWITCH),
    LaunchArgument('composed', 'true', 'all nodes in one container (true) or one process per node (false)', SWITCH),
    RESPAWN,
    LOG_LEVEL,
)
_CONTAINER = 'demo_container'


def demo_plan(given: Mapping[str, str], pushed: str = '') -> LaunchPlan:
    """From arguments to nodes and programs.

    Args:
        given: every argument's value, by name.
        pushed: the namespace that including launch files have pushed.

    Raises:
        ConfigError: an argument is unusable, or a file of the package is missing.
    """
    check_files(given, 'model')
    model = absolute(given['model']) or str(demo_model())
    nodes = perception_graph(
        model=model,
        simulator={'seed': seed_of(given), **DEMO_CAMERA},
        poses=True,
        track=True,
        finds=found_by(card_of(model)),
        pose_parameters={'method': given['method'], 'target_frame': given['target_frame']},
    )
    programs = (_planner(given['target_class']),) if switch('planner', given['planner']) else ()
    return plan_of_demo(nodes, given, pushed, _CONTAINER, programs, view='rviz/demo.rviz')


def seed_of(given: Mapping[str, str]) -> int:
    """The scene's random seed.

    Raises:
        ConfigError: it is none.
    """
    if not given['seed'].isdecimal():
        raise ConfigError(f'launch argument seed: got {given["seed"]!r}, expected a whole number of at least 0')
    return int(given['seed'])


def plan_of_demo(
    nodes: Sequence[NodeSpec],
    given: Mapping[str, str],
    pushed: str,
    container: str,
    programs: Sequence[Program] = (),
    *,
    view: str,
) -> LaunchPlan:
    """The plan of a graph on simulated cameras, in a container of its own.

    Args:
        nodes: the graph.
        given: every argument's value, by name: `composed`, `log_level`, `respawn` and `rviz` count here.
        pushed: the namespace that including launch files have pushed.
        container: its name.
        programs: beside the graph and RViz.
        view: what RViz shows, a file of the package.

    Raises:
        ConfigError: an argument is unusable, or the view is missing.
    """
    namespace = resolve(pushed, '')
    rviz = [Program('rviz', 'rviz2', 'rviz2', ('-d', str(shared_file(view))))] if switch('rviz', given['rviz']) else []
    return LaunchPlan(
        tuple(nodes),
        namespace=namespace,
        composed=switch('composed', given['composed']),
        container=resolve(namespace, container),
        attach=False,
        log_level=given['log_level'],
        respawn=switch('respawn', given['respawn']),
        programs=(*programs, *rviz),
    )


def _planner(target_class: str) -> Program:
    return Program(
        'pick_planner',
        sys.executable,  # an example is not an installed executable
        arguments=(str(shared_file('examples/pick_planner.py')),),
        parameters={'target_class': target_class},
        remappings={'poses': 'track/poses', 'detections_3d': 'track/detections_3d'},
    )
