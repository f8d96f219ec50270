# SPDX-License-Identifier: Apache-2.0
"""The one list of this package's nodes, in the order of the data; `setup.py` runs it too, so it imports nothing."""

from __future__ import annotations

PACKAGE = 'isaac_inference'
# name in the graph -> module:class; each is an executable `<name>_node` and a plugin `isaac_inference::<Class>`
NODES = {
    'camera': f'{PACKAGE}.ros.nodes.camera:CameraNode',
    'sim_camera': f'{PACKAGE}.ros.nodes.sim_camera.node:SimCameraNode',
    'stereo': f'{PACKAGE}.ros.nodes.stereo.node:StereoNode',
    'preprocess': f'{PACKAGE}.ros.nodes.preprocess:PreprocessNode',
    'inference': f'{PACKAGE}.ros.nodes.inference.node:InferenceNode',
    'detection': f'{PACKAGE}.ros.nodes.detection:DetectionNode',
    'crops': f'{PACKAGE}.ros.nodes.crops:CropsNode',
    'keypoints': f'{PACKAGE}.ros.nodes.keypoints:KeypointsNode',
    'segmentation': f'{PACKAGE}.ros.nodes.segmentation:SegmentationNode',
    'ground': f'{PACKAGE}.ros.nodes.ground:GroundNode',
    'depth': f'{PACKAGE}.ros.nodes.depth.node:DepthNode',
    'completion': f'{PACKAGE}.ros.nodes.completion.node:CompletionNode',
    'tags': f'{PACKAGE}.ros.nodes.tags:TagsNode',
    'track': f'{PACKAGE}.ros.nodes.track.node:TrackNode',
    'skeletons': f'{PACKAGE}.ros.nodes.skeletons.node:SkeletonsNode',
    'pose': f'{PACKAGE}.ros.nodes.pose.node:PoseNode',
    'fusion': f'{PACKAGE}.ros.nodes.fusion.node:FusionNode',
    'annotate': f'{PACKAGE}.ros.nodes.annotate.node:AnnotateNode',
    'budget': f'{PACKAGE}.ros.nodes.budget.node:BudgetNode',
}
EXECUTABLES = f'{PACKAGE}.ros.executables'  # the module of the console scripts


def executable(name: str) -> str:
    """Console script that starts the node as a process."""
    return f'{name}_node'


def plugin(name: str) -> str:
    """Name by which a component container loads the node."""
    return f'{PACKAGE}::{NODES[name].partition(":")[2]}'


def console_scripts() -> list[str]:
    """Entry points of the nodes and the container as processes."""
    return [f'{name} = {EXECUTABLES}:{name}' for name in MAIN_MODULES]


def component_entry_points() -> list[str]:
    """Entry points of the nodes as components."""
    return [f'{plugin(name)} = {where}' for name, where in NODES.items()]


# console script -> the module whose `main` it runs
MAIN_MODULES = {
    'component_container': f'{PACKAGE}.ros.runtime.container.container',
    **{executable(name): where.partition(':')[0] for name, where in NODES.items()},
}
