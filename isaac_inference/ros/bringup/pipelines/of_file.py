# SPDX-License-Identifier: Apache-2.0
"""The pipelines of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.names import switch
from isaac_inference.ros.bringup.networks.paths import absolute
from isaac_inference.ros.bringup.pipelines.own_params import check_params
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.ros.bringup.pipelines.wanted import OF_CAMERA, Wanted, camera_nodes, simulated
from isaac_inference.serving.pipelines import Added, PipelineSpec, Setup, read_pipelines

BESIDE = (
    'pipelines',
    'namespace',
    'params_file',
    'use_sim_time',
    'composed',
    'container',
    'attach',
    'respawn',
    'log_level',
    'simulate',
    'budget',
    'qos',
)
"""What a launch file may be given beside a YAML of pipelines: how nodes are started, and what is for all of them."""


def of_file(given: Mapping[str, str], defaults: Mapping[str, str]) -> Wanted:
    """The pipelines of the file that launch arguments name.

    Args:
        given: every argument's value, by name.
        defaults: what it is where nobody gave it.

    Raises:
        ConfigError: arguments that say what the file says, too; what is wrong with the file; or parameters that its
            nodes do not have.
    """
    _refuse_beside(given, defaults)
    setup = read_pipelines(absolute(given['pipelines']))
    if switch('simulate', given['simulate']):
        setup = simulated(setup)
    check_params(setup)
    pipelines = tuple(_placed(pipeline, setup, given) for pipeline in setup.pipelines)
    return Wanted(pipelines, tuple(camera_nodes(setup.cameras)), given['budget'] or setup.budget)


def _placed(pipeline: PipelineSpec, setup: Setup, given: Mapping[str, str]) -> Placed:
    said = {Added.POSES: 'poses', Added.TRACK: 'track', Added.ANNOTATE: 'annotate'}
    switches = {
        argument: str(wanted).lower()
        for added, argument in said.items()
        if (wanted := pipeline.wants(added)) is not None
    }
    models = (
        {
            'models': f'{pipeline.model},{pipeline.keypoints_model}',
            'model_card': f'{pipeline.model_card},{pipeline.keypoints_card}',
        }
        if pipeline.keypoints_model
        else {'model': pipeline.model, 'model_card': pipeline.model_card}
    )
    cameras = {name: setup.camera(name) for name in pipeline.cameras}
    same = ('name', 'priority', 'threads', 'max_batch', 'batch_wait_ms', 'target_rate_hz', 'params')
    return Placed(
        {**given, **models, **switches, **_ways(pipeline)},
        namespace=pipeline.below,
        cameras={name: {topic: getattr(camera, topic) for topic in OF_CAMERA} for name, camera in cameras.items()},
        is_simulated=any(camera.simulator is not None for camera in setup.cameras),
        leaves_out=frozenset({'skeletons'}) if pipeline.wants(Added.SKELETONS) is False else frozenset(),
        **{name: getattr(pipeline, name) for name in same},
    )


def _ways(pipeline: PipelineSpec) -> dict[str, str]:
    """The launch arguments that say how a pipeline sees and answers."""
    return {'rectify': str(pipeline.rectify).lower(), 'target_frame': pipeline.target_frame}


def _refuse_beside(given: Mapping[str, str], defaults: Mapping[str, str]) -> None:
    """Refuse what the file says itself."""
    said = [f'{name}:={value}' for name, value in given.items() if name not in BESIDE and value != defaults[name]]
    if said:
        raise ConfigError(
            f'launch arguments pipelines:={given["pipelines"]} and {" and ".join(said)}: the file says what runs on '
            'which cameras; write it there, and leave the argument out'
        )
