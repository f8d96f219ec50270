# SPDX-License-Identifier: Apache-2.0
"""What a model is for, and what each task says about the model's outputs: one frozen spec per task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.keypoints.decode_heatmaps import HeatmapGrid

KEYPOINT_MODELS = ('cuboid8',)


class Task(str, Enum):
    """What a model is for. "Pose" alone means 6-DoF everywhere; a model that gives keypoints is `KEYPOINTS`."""

    DETECTION = 'detection'
    KEYPOINTS = 'keypoints'  # detection, and keypoints for each object
    TOP_DOWN_KEYPOINTS = 'top_down_keypoints'  # keypoints of the one person or object that the image is cropped to
    INSTANCE_SEGMENTATION = 'instance_segmentation'
    SEMANTIC_SEGMENTATION = 'semantic_segmentation'
    MONO_DEPTH = 'mono_depth'
    STEREO_DEPTH = 'stereo_depth'
    DEPTH_COMPLETION = 'depth_completion'
    POLICY = 'policy'


@dataclass(frozen=True)
class TaskSpec:
    """What every task says: which output plays which role. Each task's spec is a subclass.

    Attributes:
        roles: role -> output tensor name; the roles are the task's, or its decoder's. Immutable.
    """

    task: ClassVar[Task]
    roles: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'roles', MappingProxyType(dict(self.roles)))


class MaskForm(str, Enum):
    """How the masks of objects are put out; each names the role of its output."""

    PROTOTYPES = 'prototypes'  # (1, P, h, w) maps; a row's coefficients say how much of each makes its mask (YOLACT)
    CROPS = 'crops'  # (N, 1, s, s) or (N, s, s), each stretched over its box (Mask R-CNN)
    FULL = 'full'  # (1, N, H, W), each over the network's whole input (RTMDet-Ins)


@dataclass(frozen=True)
class MaskSpec:
    """The masks that a model gives with its boxes.

    Attributes:
        form: how they are put out; the output has the role 'prototypes', for the other forms 'masks'.
        channels: coefficients in each row of boxes, as many as there are prototypes; 0 for the other forms.
        activated: True where the values are 0..1 already; False where a sigmoid makes them so.
    """

    form: MaskForm
    channels: int = 0
    activated: bool = False

    @property
    def role(self) -> str:
        """The key in `TaskSpec.roles` of the output that the masks are made from."""
        return 'prototypes' if self.form is MaskForm.PROTOTYPES else 'masks'


MASK_ROLES = tuple(dict.fromkeys(MaskSpec(form).role for form in MaskForm))
"""The roles of the outputs that masks are made from."""


@dataclass(frozen=True)
class DetectionSpec(TaskSpec):
    """How boxes are read from the outputs.

    Attributes:
        decoder: one of the names in `families.FAMILIES`; its roles are keys of `roles`.
        options: the decoder's settings, such as `strides`; immutable.
        masks: the masks that come with the boxes; None without. A model with keypoints may have them too.
    """

    task: ClassVar[Task] = Task.DETECTION
    decoder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: MaskSpec | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, 'options', MappingProxyType(dict(self.options)))

    @property
    def decode_arguments(self) -> dict[str, Any]:
        """The keyword arguments of the decoder's `decode`: its options, but for `nms`, which comes after it, and how
        many mask coefficients there are.
        """
        masks = {'mask_channels': self.masks.channels} if self.masks is not None and self.masks.channels else {}
        return {**{name: value for name, value in self.options.items() if name != 'nms'}, **masks}


@dataclass(frozen=True)
class KeypointSpec:
    """The keypoints that a model gives with each box.

    Attributes:
        count: keypoints per box.
        dims: values per keypoint in the model's output: 2 (x, y) or 3 (x, y, confidence).
        model: what the keypoints are on every object: 'cuboid8' for the corners of its cuboid (corner k has the
            signs of bits 2, 1 and 0 of k for x, y and z; the size is the object's), '' for points that the
            objects name themselves (`ObjectSpec.keypoints`), or that have no 3-D model.
        skeleton: what they are called and which are joined, for people; None where nothing says it. It is for those
            who draw or name them, and does not change what the tensors mean.
    """

    count: int
    dims: int = 3
    model: str = ''
    skeleton: SkeletonSpec | None = field(default=None, compare=False, repr=False)

    @property
    def values(self) -> int:
        """Numbers in the model's output for the keypoints of one box."""
        return self.count * self.dims


@dataclass(frozen=True)
class KeypointDetectionSpec(DetectionSpec):
    """Boxes, and keypoints with each of them."""

    task: ClassVar[Task] = Task.KEYPOINTS
    keypoints: KeypointSpec = KeypointSpec(1)

    @property
    def decode_arguments(self) -> dict[str, Any]:
        """The decoder's options, and how many keypoints there are, of how many values."""
        points = {'keypoint_count': self.keypoints.count, 'keypoint_dims': self.keypoints.dims}
        return {**super().decode_arguments, **points}


class KeypointForm(str, Enum):
    """How a top-down network puts its keypoints out."""

    POINTS = 'points'  # coordinates: role 'keypoints' (MoveNet, BlazePose)
    SIMCC = 'simcc'  # a histogram over x and one over y for each keypoint: roles 'x' and 'y' (RTMPose)
    HEATMAPS = 'heatmaps'  # a map for each keypoint: role 'heatmaps' (HRNet, SimpleBaseline, ViTPose)

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys in `TaskSpec.roles` of the outputs that keypoints of this form are read from."""
        return {'points': ('keypoints',), 'simcc': ('x', 'y'), 'heatmaps': ('heatmaps',)}[self.value]


PRESENCE = 'presence'
"""The role of an output that says whether anybody is there at all, one number for each image."""

TOP_DOWN_ROLES = (*(role for form in KeypointForm for role in form.roles), PRESENCE)
"""The roles of the outputs of top-down networks."""


class PointUnit(str, Enum):
    """What the coordinates of points are in, of the network's input."""

    PIXELS = 'px'
    FRACTION = 'fraction'  # of its width and height, 0..1


@dataclass(frozen=True)
class TopDownKeypointsSpec(TaskSpec):
    """How the keypoints of one person (or object) are read, who fills the network's image: no boxes come out.

    The image is a crop around a box that a detector found, or the whole image where there is no detector. A role
    `PRESENCE` names the output that says whether anybody is there.

    Attributes:
        form: how they are put out; says the roles.
        keypoints: how many, and their skeleton; `dims` is 2 where none of the outputs is a point's own confidence.
        columns: of points: what the values of each are, names of `decode_points.COLUMNS`.
        extra: of points: how many more come after the keypoints and are not read: BlazePose's last 6 of 39 are for its
            own tracking.
        unit: of points.
        split_ratio: of SimCC: bins for a px of the network's input; None takes it from the outputs' lengths.
        grid: of heatmaps: where in the input their cells lie.
        layout: of heatmaps.
        activation: what makes confidences 0..1 of the numbers: 'none', 'sigmoid', and for SimCC 'softmax'.
        presence_activation: the same for `PRESENCE`: 'none' or 'sigmoid'.
        min_presence: 0..1, below which nobody is there.
    """

    task: ClassVar[Task] = Task.TOP_DOWN_KEYPOINTS
    form: KeypointForm = KeypointForm.HEATMAPS
    keypoints: KeypointSpec = KeypointSpec(17)
    columns: tuple[str, ...] = ('x', 'y', 'confidence')
    extra: int = 0
    unit: PointUnit = PointUnit.PIXELS
    split_ratio: float | None = None
    grid: HeatmapGrid = HeatmapGrid.SCALED
    layout: TensorLayout = TensorLayout.NCHW
    activation: str = 'none'
    presence_activation: str = 'none'
    min_presence: float = 0.5


@dataclass(frozen=True)
class InstanceSegmentationSpec(DetectionSpec):
    """Boxes, and a mask with each of them."""

    task: ClassVar[Task] = Task.INSTANCE_SEGMENTATION


class ClassForm(str, Enum):
    """How a class for each pixel is put out; the value is the role of the output."""

    SCORES = 'scores'  # a channel per class, or one channel for a single class against the rest
    CLASSES = 'classes'  # the class ids themselves: (1, H, W), (1, 1, H, W) or (1, H, W, 1)


@dataclass(frozen=True)
class SemanticSegmentationSpec(TaskSpec):
    """How a class for each pixel is read from one output.

    Attributes:
        form: whether the output has scores or class ids; its value is the key of `roles`.
        layout: order of the axes of the scores.
        activation: what makes probabilities of the scores: 'softmax', 'sigmoid' (one channel, or classes that do not
            exclude each other), or 'none' where they are probabilities.
    """

    task: ClassVar[Task] = Task.SEMANTIC_SEGMENTATION
    form: ClassForm = ClassForm.SCORES
    layout: TensorLayout = TensorLayout.NCHW
    activation: str = 'softmax'


class DepthKind(str, Enum):
    """What the numbers of a depth network mean."""

    METRIC = 'metric'  # depth along the optical axis; m, or what `MonoDepthSpec.scale` makes m of
    RELATIVE = 'relative'  # larger is farther, up to a scale and a shift
    INVERSE = 'inverse'  # larger is nearer: 1 / depth up to a scale and a shift (MiDaS, Depth Anything)


DEPTH_UNITS: Mapping[str, float] = {'m': 1.0, 'cm': 0.01, 'mm': 0.001}
"""Units that a card may give a network's depths in, in m."""


@dataclass(frozen=True)
class MonoDepthSpec(TaskSpec):
    """How depth is read from the output 'depth' of a network that sees one image.

    Its shape is (1, H, W), (1, 1, H, W) or (1, H, W, 1).

    Attributes:
        kind: what the numbers mean.
        scale, shift: m = scale * number + shift; for INVERSE 1/m. A card gives them for a model that is RELATIVE or
            INVERSE and calibrated to one camera; None where only an alignment can tell. METRIC has 1 and 0 by default.
    """

    task: ClassVar[Task] = Task.MONO_DEPTH
    kind: DepthKind = DepthKind.INVERSE
    scale: float | None = None
    shift: float | None = None


@dataclass(frozen=True)
class StereoDepthSpec(TaskSpec):
    """How disparity is read from the output 'disparity': (1, H, W), (1, 1, H, W) or (1, H, W, 1).

    The images are inputs with the roles 'left' and 'right', or one input of six channels, left before right, with the
    role 'pair'. An output with the role 'confidence' says from 0 to 1 how sure each disparity is, where there is one.

    Attributes:
        scale: px of the network's input that one unit of the output is; negative where disparities are.
    """

    task: ClassVar[Task] = Task.STEREO_DEPTH
    scale: float = 1.0


@dataclass(frozen=True)
class DepthCompletionSpec(TaskSpec):
    """How dense depth is read from the output 'depth'; the sensor's depth is the value input `ValueRole.DEPTH`.

    An output with the role 'confidence' says from 0 to 1 how sure each depth is, where there is one.

    Attributes:
        scale: m that one unit of the network's depths is, going in and coming out.
        unknown: what the network is given where the sensor has no reading, in its own unit.
    """

    task: ClassVar[Task] = Task.DEPTH_COMPLETION
    scale: float = 1.0
    unknown: float = 0.0


SPECS: Mapping[Task, type[TaskSpec]] = {
    spec.task: spec
    for spec in (
        DetectionSpec,
        KeypointDetectionSpec,
        TopDownKeypointsSpec,
        InstanceSegmentationSpec,
        SemanticSegmentationSpec,
        MonoDepthSpec,
        StereoDepthSpec,
        DepthCompletionSpec,
    )
}
"""The tasks supported so far, and their specs."""
