# SPDX-License-Identifier: Apache-2.0
"""What the nodes of a graph publish for others, and that no two publish one topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.bringup.node_list import NODES, plugin

OUTPUTS: Mapping[str, tuple[str, ...]] = {
    'camera': ('image',),
    'sim_camera': ('image', 'camera_info', 'depth/image'),
    'detection': ('detections',),
    'keypoints': ('keypoints',),
    'segmentation': ('class_mask', 'class_confidence'),
    'depth': ('depth/image',),
    'completion': ('depth/image',),
    'stereo': ('depth/image', 'disparity'),
    'tags': ('detections',),
    'track': ('~/detections', '~/detections_3d'),
    'skeletons': ('keypoints_3d', 'skeletons/markers'),
    'pose': ('~/detections_3d', '~/poses'),
    'annotate': ('~/debug_image',),
    'budget': ('budget',),
}
"""Node -> the topics, as the node names them, for which others listen to it."""
_KINDS = {plugin(kind): kind for kind in NODES}


def outputs(spec: NodeSpec, root: str) -> list[str]:
    """The full names of the topics of `OUTPUTS` that a node publishes.

    Args:
        root: namespace of the graph.
    """
    where = resolve(root, spec.namespace)
    own = OUTPUTS.get(_KINDS.get(spec.plugin, ''), ())
    if cameras := spec.parameters.get('cameras'):  # a simulator of several, each below its name
        own = tuple(f'{camera}/{topic}' for camera in cameras for topic in own)
    names = [spec.remappings.get(topic, topic) for topic in own]
    return [resolve(where, name.replace('~', spec.name, 1) if name.startswith('~/') else name) for name in names]


def check_topics(nodes: Iterable[NodeSpec], root: str) -> None:
    """Refuse a graph in which two nodes have one name, or publish one topic.

    Raises:
        ConfigError: names both.
    """
    problems: list[str] = []
    names: set[str] = set()
    publishers: dict[str, str] = {}
    for spec in nodes:
        own = spec.full_name(root)
        if own in names:
            problems.append(f'two nodes would be named {own}; give the pipelines namespaces of their own')
        names.add(own)
        own_topics = outputs(spec, root)
        problems += [
            f'{own} would publish {topic} for {count} cameras; give each a topic of its own'
            for topic, count in Counter(own_topics).items()
            if count > 1
        ]
        for topic in own_topics:
            other = publishers.setdefault(topic, own)
            if other != own:
                problems.append(
                    f'{other} and {own} would both publish {topic}; give their pipelines or cameras namespaces or '
                    'topics of their own'
                )
    if problems:
        raise ConfigError('; '.join(dict.fromkeys(problems)))
