# SPDX-License-Identifier: Apache-2.0
"""The perception graph as data: one list of nodes, used by every start mode."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.models import AnyCard, ModelCard, Task
from isaac_inference.ops.geometry.calibration import rectified_by_name
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.bringup.node_list import PACKAGE, executable, plugin

# Where a simulator draws on the same processor, a thread of the model that waits actively takes it from whom it waits
# for: nearly twice the CPU time of an inference, and no less of any other time.
_SHARED_CPU = {'onnxruntime.spinning': False}
# Crops that a top-down model's engine takes at once, where its file allows that: as many as CropsNode makes by default,
# tuned for what is common.
CROP_BATCH = {'tensorrt.opt_batch': 4, 'tensorrt.max_batch': 8}
# Keypoints of a crowd take a network for one image at once as long as so many images do, and more on a small processor;
# so does depth that the graph makes of images beside the detector: whoever pairs either with the detections waits for
# it, and who draws has as many images of a camera at 30 Hz still, and those of the detector's own time.
PATIENCE: Mapping[str, Any] = {'wait_s': 1.0}
PICTURE_PATIENCE: Mapping[str, Any] = {**PATIENCE, 'buffer_size': 40}
# What the graph thinks right of a node's parameters, but for what a parameter file says. config/perception.yaml has
# them as comments: its defaults, copied whole, would else undo what nobody meant to change.
PROPOSED: Mapping[str, frozenset[str]] = {
    'crops_inference': frozenset(CROP_BATCH),
    'pose': frozenset(PATIENCE),
    'skeletons': frozenset(PATIENCE),
    'annotate': frozenset(PICTURE_PATIENCE),
}
# What a demonstration gives its simulator: one image being looked at, and the next one ready.
DEMO_CAMERA = {'max_ahead': 2}


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph.

    `executable` starts it as a process, `plugin` loads it into a container; both are entry points of `package`.
    `namespace` is below that of the graph, without slashes around it; '' is the graph's own.
    """

    name: str
    executable: str
    plugin: str
    package: str = PACKAGE
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ''

    @classmethod
    def of(
        cls,
        kind: str,
        parameters: Mapping[str, Any],
        remappings: Mapping[str, str] | None = None,
        name: str = '',
        namespace: str = '',
    ) -> NodeSpec:
        """A node of this package.

        Args:
            kind: which, a key of `NODES`.
            parameters: of the node.
            remappings: of its topics.
            name: of the node; '' for that of its kind.
            namespace: of the node.
        """
        return cls(
            name or kind,
            executable(kind),
            plugin(kind),
            parameters=dict(parameters),
            remappings=dict(remappings or {}),
            namespace=namespace,
        )

    def full_name(self, root: str) -> str:
        """The node's name in a graph whose namespace is `root`."""
        return resolve(resolve(root, self.namespace), self.name)


@dataclass(frozen=True)
class CameraTopics:
    """Where the camera publishes; depth is registered to the colour image."""

    image: str = 'image'
    camera_info: str = 'camera_info'
    depth: str = 'depth/image'
    depth_info: str = 'depth/camera_info'

    @property
    def color(self) -> dict[str, str]:
        """Remappings of a node that takes or makes colour images."""
        return {'image': self.image, 'camera_info': self.camera_info}

    @property
    def rectified(self) -> CameraTopics:
        """The same camera behind a preprocess node that rectifies."""
        return dataclasses.replace(self, image='rectified/image_rect', camera_info='rectified/camera_info')

    @property
    def all(self) -> dict[str, str]:
        """Remappings of a node that takes or makes depth too."""
        return {**self.color, 'depth/image': self.depth, 'depth/camera_info': self.depth_info}


@dataclass(frozen=True)
class FoundTopics:
    """Where a detector publishes what it found, or a tracker what became of it, row by row the same."""

    detections: str = 'detections'
    keypoints: str = 'keypoints'
    instance_mask: str = 'instance_mask'

    @property
    def remappings(self) -> dict[str, str]:
        """The remappings that are needed."""
        return {name: topic for name, topic in dataclasses.asdict(self).items() if topic != name}


# Behind a track node, which may leave rows out and smooths keypoints.
_TRACKED = FoundTopics('track/detections', 'track/keypoints', 'track/instance_mask')


@dataclass(frozen=True)
class CropModel:
    """A top-down model behind a detector.

    Attributes:
        path: of the ONNX model.
        card: path of its YAML card; '' looks beside the model.
        any_batch: whether it takes any number of images at once.
        skeletons: whether its keypoints are those of people, by a skeleton.
    """

    path: str
    card: str = ''
    any_batch: bool = False
    skeletons: bool = False

    @classmethod
    def of(cls, path: str, card_path: str, card: ModelCard) -> CropModel:
        """A model, with what its card says."""
        return cls(path, card_path, card.dynamic_batch, has_skeleton(card))

    @property
    def given(self) -> dict[str, str]:
        """Parameters of the nodes that it is for."""
        return _model(self.path, self.card)


@dataclass(frozen=True)
class Found:
    """What a model finds beside boxes.

    Attributes:
        keypoints: the model has keypoints, which are drawn where no poses are.
        classes: the model gives a class for each pixel, and no boxes.
        depth: the model gives depth of one image, and no boxes; nothing is drawn then.
        masks: the model has masks, which are drawn.
        top_down: the model gives the keypoints of one person in an image: what it sees is that whole image.
        skeletons: the model's keypoints are those of people: they are drawn joined, and go into space with depth;
            with a model behind this one, that one says it.
    """

    keypoints: bool = False
    classes: bool = False
    depth: bool = False
    masks: bool = False
    top_down: bool = False
    skeletons: bool = False


def found_by(card: AnyCard | None) -> Found:
    """What the model of a card finds beside boxes; nothing for a card of objects alone, or without any."""
    task = card.task if isinstance(card, ModelCard) else None
    top_down = task is Task.TOP_DOWN_KEYPOINTS
    return Found(
        keypoints=top_down or (card is not None and card.keypoints is not None),
        classes=task is Task.SEMANTIC_SEGMENTATION,
        depth=task is Task.MONO_DEPTH,
        masks=isinstance(card, ModelCard) and card.masks is not None,
        top_down=top_down,
        skeletons=has_skeleton(card),
    )


def has_skeleton(card: AnyCard | None) -> bool:
    """Whether the keypoints of a card's model are those of people, by a skeleton."""
    keypoints = getattr(card.spec, 'keypoints', None) if isinstance(card, ModelCard) else None
    return keypoints is not None and keypoints.skeleton is not None


def perception_graph(
    *,
    model: str = '',
    model_card: str = '',
    tags: bool = False,
    found: FoundTopics | None = None,
    camera: CameraTopics | None = None,
    source: str = '',
    simulator: Mapping[str, Any] | None = None,
    poses: bool = False,
    track: bool = False,
    annotate: bool = True,
    finds: Found | None = None,
    crops: CropModel | None = None,
    pose_parameters: Mapping[str, Any] | None = None,
    rectify: bool = False,
    late_depth: bool = False,
) -> tuple[NodeSpec, ...]:
    """The nodes of the pipeline, in the order of the data.

    Args:
        model: path of the ONNX model; '' leaves it to the parameter file.
        model_card: path of its YAML card, or of one of objects alone; '' leaves it to the parameter file.
        tags: whether the objects are those of the card's tags, instead of a model's.
        found: topics of a detector that runs elsewhere, instead of a model's; None for none.
        camera: topics of the camera.
        source: what a camera node publishes (folder, video or index); '' starts no camera node.
        simulator: parameters of a simulated camera; None starts none.
        poses: whether objects get 6-DoF poses.
        track: whether objects get persistent ids and smooth poses.
        annotate: whether the node that draws pictures is part of the graph.
        finds: what the model finds beside boxes, which `found_by` reads from its card; None for nothing.
        crops: the model that finds the keypoints of each person that `model`, or the detector elsewhere, has found.
        pose_parameters: parameters of the pose node.
        rectify: whether the model's images are rectified: who looks at what was found then has the rectified image and
            its CameraInfo, and depth is what the camera has of it: raw, unless its topic's name says `rect`.
        late_depth: whether depth is made of the images, and takes its time: it is waited for as keypoints of crops are.
    """
    topics, finds = camera or CameraTopics(), finds or Found()
    given = _model(model, model_card)
    whose_points, skeletons = (given, finds.skeletons) if crops is None else (crops.given, crops.skeletons)
    nodes = []
    if source:
        nodes.append(NodeSpec.of('camera', {'source': source}, topics.color))
    if simulator is not None:
        nodes.append(NodeSpec.of('sim_camera', simulator, topics.all))
    seen = topics.rectified if rectify else topics
    images = {'image': topics.image}  # compressed ones are looked for below it
    if tags:
        nodes.append(NodeSpec.of('tags', given, images))
    elif found is None:
        nodes += [
            NodeSpec.of('preprocess', {**given, 'rectify': True}, {**images, 'camera_info': topics.camera_info})
            if rectify
            else NodeSpec.of('preprocess', given, images),
            NodeSpec.of('inference', {**given, **(_SHARED_CPU if simulator is not None else {})}),
            _reader(given, seen, finds),
        ]
    if crops is not None:
        nodes += _crop_nodes(crops, seen, found or FoundTopics(), _SHARED_CPU if simulator is not None else {})
    found = found or FoundTopics()
    objects = 'track/detections_3d' if track else 'pose/detections_3d'
    if track:  # boxes get their ids before the pose node, whose poses come back to be smoothed
        own = {'detections_3d': 'pose/detections_3d'} if poses else {}
        nodes.append(NodeSpec.of('track', given, {**found.remappings, **own}))
        found = _TRACKED
    if poses:
        # /tf must have one pose per object only: the smooth one if there is one
        view = {'depth_rectified': str(bool(rectified_by_name(topics.depth))).lower()} if rectify else {}
        patience = PATIENCE if late_depth else {}
        more = {**({'publish_tf': False} if track else {}), **view, **patience, **(pose_parameters or {})}
        taken = {**seen.all, 'detections': found.detections, **found.remappings}
        nodes.append(NodeSpec.of('pose', {**given, **more}, taken))
    if skeletons:
        taken = {'detections': found.detections, **found.remappings}
        patience = PATIENCE if crops is not None or late_depth else {}
        nodes.append(_skeletons({**whose_points, **patience}, seen, taken, rectify))
    if annotate and not finds.depth:
        drawn = {**seen.color, 'detections': found.detections, 'detections_3d': objects, **found.remappings}
        has_points = (finds.keypoints or crops is not None) and not poses
        patience = PICTURE_PATIENCE if crops is not None or (poses and late_depth) else {}
        what = _drawn(poses=poses, keypoints=has_points, masks=finds.masks, classes=finds.classes)
        nodes.append(NodeSpec.of('annotate', {**what, **_joined(whose_points, skeletons), **patience}, drawn))
    return tuple(nodes)


def _skeletons(given: Mapping[str, Any], topics: CameraTopics, taken: Mapping[str, str], rectify: bool) -> NodeSpec:
    """The node that makes skeletons of people's keypoints.

    Args:
        given: model and model_card of the model whose keypoints they are, and how long to wait for these and for depth.
        topics: of the camera.
        taken: remappings of `detections` and `keypoints`.
        rectify: whether the images were rectified here, which depth was not.
    """
    view = {'depth_rectified': str(bool(rectified_by_name(topics.depth))).lower()} if rectify else {}
    return NodeSpec.of('skeletons', {**given, **view}, {**topics.all, **taken})


def _joined(given: Mapping[str, Any], skeletons: bool) -> dict[str, Any]:
    """Parameters of the node that draws, where keypoints are drawn joined."""
    return {'draw_skeletons': True, **given} if skeletons else {}


def _drawn(**wanted: bool) -> dict[str, bool]:
    """Parameters of the node that draws: what it draws beside detections, or instead of them where it is classes."""
    parts = {f'draw_{name}': True for name, is_wanted in wanted.items() if is_wanted}
    return {**parts, 'draw_detections': False} if wanted['classes'] else parts


def _crop_nodes(
    model: CropModel, topics: CameraTopics, found: FoundTopics, shared: Mapping[str, Any]
) -> list[NodeSpec]:
    """From detections to the keypoints of each: a second run of a model, whose tensors have topics of their own."""
    given = model.given
    tensors, outputs = 'crops/input_tensors', 'crops/output_tensors'
    batch = CROP_BATCH if model.any_batch else {}
    own = {'input_tensors': tensors, 'output_tensors': outputs}
    return [
        NodeSpec.of('crops', given, {**topics.color, 'detections': found.detections}),
        NodeSpec.of('inference', {**given, **batch, **shared}, own, 'crops_inference'),
        NodeSpec.of('keypoints', {**given, 'publish_detections': False}, {'output_tensors': outputs}),
    ]


def _reader(given: Mapping[str, Any], topics: CameraTopics, finds: Found) -> NodeSpec:
    """The node that reads the model's outputs: that of its task."""
    if finds.depth:
        sensor = {'align_depth': topics.depth} if topics.depth != CameraTopics().depth else {}
        return NodeSpec.of('depth', given, {**topics.color, **sensor})
    return NodeSpec.of('segmentation' if finds.classes else 'keypoints' if finds.top_down else 'detection', given)


def _model(path: str, card: str) -> dict[str, str]:
    return {name: value for name, value in (('model', path), ('model_card', card)) if value}
