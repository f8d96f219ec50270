# SPDX-License-Identifier: Apache-2.0
"""GroundNode: a class mask to drivable ground and obstacles in metres, as planners read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.ground.occupancy import GridSpec
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.class_mask import CLASS_MASK, LABEL_INFO, class_mask_array, labels_of
from isaac_inference.ros.messages.cloud import class_cloud
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.depth import depth_array, depth_encoding
from isaac_inference.ros.messages.grid import occupancy_grid
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.nodes.shared.image_source import DepthTransport, ImageSource
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import TransformLibrary, TransformSource, make_transform_source
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.stages.segmentation.ground import ClassKinds, ClassPoints, Ground, GroundFinder, GroundSettings

_BUFFER = 30  # frames of depth kept while masks are made
_SETTINGS = GroundSettings(GridSpec(0.05, (8.0, 8.0), (0.0, -4.0)))


class Distance(str, Enum):
    """How far away a pixel is taken for; 'auto' takes depth where somebody publishes it."""

    AUTO = 'auto'
    DEPTH = 'depth'
    PLANE = 'plane'  # where its ray meets the ground


@dataclass(frozen=True)
class GroundParameters(NodeParameters):
    """Parameters of the ground node."""

    ground_classes: tuple[str, ...] = param((), 'Names of the classes that can be driven on, such as road.', live=True)
    obstacle_classes: tuple[str, ...] = param((), 'Names of the classes that cannot, such as person.', live=True)
    distance: Distance = param(
        Distance.AUTO,
        'How far away a pixel is: depth takes `depth/image`, plane takes the ground to be flat and finds where the '
        "pixel's ray meets it, and auto takes depth where somebody publishes it.",
    )
    base_frame: str = param(
        'base_footprint',
        'Frame with its origin on the ground, x forward and z up: its plane z = 0 is the ground, and the grid is in '
        'it. /tf must say where the camera is in it.',
    )
    max_range: float = param(
        _SETTINGS.max_range,
        'Points that are farther from the camera are left out.',
        unit='m',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    )
    stride: int = param(
        _SETTINGS.stride, 'Every so many pixels of rows and columns are looked at.', unit='px', minimum=1, maximum=64
    )
    grid_resolution: float = param(
        _SETTINGS.grid.resolution, 'Side of a cell of the grid.', unit='m', minimum=0.001, maximum=100.0
    )
    grid_size: tuple[float, ...] = param(_SETTINGS.grid.size, 'Size of the grid, x and y.', unit='m')
    grid_origin: tuple[float, ...] = param(
        _SETTINGS.grid.origin, "x and y of the grid's first corner in base_frame.", unit='m'
    )
    max_height: float = param(
        _SETTINGS.max_height,
        'Obstacles with depth that are higher above the ground are left out of the grid: the robot goes below them.',
        unit='m',
        live=True,
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO, "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by names."
    )
    depth_transport: DepthTransport = param(
        DepthTransport.AUTO,
        'How depth comes: Image on "depth/image", CompressedImage (compressedDepth: PNG or RVL) on '
        '"depth/image/compressedDepth" or on "depth/image" itself, or the first of these that is published.',
    )
    depth_unit_scale: float = param(
        0.0, 'Metres per unit of depth; 0 goes by the encoding: 16UC1 is mm, 32FC1 is m.', minimum=0.0
    )
    wait_s: float = param(0.15, 'How long a mask waits for its depth.', unit='s', minimum=0.0, maximum=10.0)
    transform_wait_s: float = param(0.1, 'Longest wait for a transform.', unit='s', minimum=0.0, maximum=10.0)
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscription to depth and camera_info.')
    mask_qos: QosParameters = group(RESULTS, 'Subscription to the class mask.')
    points_qos: QosParameters = group(RESULTS, 'Publishers of the point clouds.')

    def settings(self) -> GroundSettings:
        """The stage's settings.

        Raises:
            ConfigError: no classes, a class of both kinds, or a grid that cannot be.
        """
        both = set(self.ground_classes) & set(self.obstacle_classes)
        if both or not (self.ground_classes or self.obstacle_classes):
            what = f'{", ".join(sorted(both))} in both' if both else 'nothing'
            raise ConfigError(
                f'parameters ground_classes and obstacle_classes: got {what}, expected names of classes of the mask, '
                'each in one of them, such as ground_classes: [road, sidewalk]; label_info has the names'
            )
        for name in ('grid_size', 'grid_origin'):
            if len(getattr(self, name)) != 2:
                raise ConfigError(
                    f'parameter {name}: got {list(getattr(self, name))}, expected two numbers, [x, y] in m'
                )
        (x, y), (left, bottom) = self.grid_size, self.grid_origin
        grid = GridSpec(self.grid_resolution, (x, y), (left, bottom))
        _ = grid.cells  # raises for a grid that cannot be
        return GroundSettings(grid, self.stride, self.max_range, self.max_height)


class GroundNode(PipelineNode):
    """`class_mask` (Image), `label_info` (LabelInfo), `camera_info` and, where it is published, `depth/image` to
    `~/drivable_points` and `~/obstacle_points` (PointCloud2, in the camera's frame, with a field `class_id`) and
    `~/grid` (OccupancyGrid, in base_frame): each while anyone subscribes, with the stamp of the image.

    The clouds are what nav2's obstacle and voxel layers read, the grid what its static layer reads; an empty cloud is
    published too, since it clears. With depth, each pixel of a class is a point. Without, the ground is taken to be
    flat: drivable pixels are where their rays meet it, and of an obstacle only the pixels at which it stands on
    drivable ground have a place; a cell of the grid is free where its centre shows drivable ground.

    Depth must be registered to the image: the same view, at any resolution.
    """

    Parameters = GroundParameters
    stage = 'ground'

    def __init__(self, node_name: str = 'ground', **kwargs: object) -> None:
        self._camera = CameraFeed()
        self._transforms: TransformSource | None = None
        self._pairing = StampPairing(CLASS_MASK, {})
        self._names: dict[int, str] = {}
        self._kinds: ClassKinds | None = None
        self._finder: GroundFinder | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: GroundParameters = self.parameters
        self._finder = GroundFinder(chosen.settings())
        self._grid = self._finder.settings.grid
        self._drivable = self.advertise(plain(PointCloud2), '~/drivable_points', chosen.points_qos)
        self._obstacles = self.advertise(plain(PointCloud2), '~/obstacle_points', chosen.points_qos)
        self._grids = self.advertise(plain(OccupancyGrid), '~/grid', LATCHED)  # as nav2's static layer asks for it
        self._base_frame = frame_name(chosen.base_frame)
        self._transforms = make_transform_source(self, chosen.transform_source)
        self._open_camera()
        depth = Secondary(tolerance_s=None, wait_s=chosen.wait_s, depth=_BUFFER)
        topics = {name: self.resolve_topic_name(name) for name in (CLASS_MASK, 'depth/image')}
        self._pairing = StampPairing(
            CLASS_MASK, {'depth': depth}, topics={CLASS_MASK: topics[CLASS_MASK], 'depth': topics['depth/image']}
        )
        self._depth_topic = topics['depth/image']
        self.subscribe(plain(CameraInfo), 'camera_info', chosen.image_qos, self._on_camera_info)
        self.subscribe(plain(LabelInfo), LABEL_INFO, LATCHED, self._on_label_info)
        takes_depth = chosen.distance is not Distance.PLANE
        self.subscribe(
            IMAGE,
            'depth/image',
            chosen.image_qos,
            self._on_depth,
            depth=chosen.mask_qos.depth,
            wanted=lambda: takes_depth,
            source=ImageSource(
                self, 'depth/image', chosen.depth_transport, 'depth_transport', 'compressedDepth', self._must_have_depth
            ),
        )
        self.subscribe(IMAGE, CLASS_MASK, chosen.mask_qos, self._on_mask, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def on_parameters(self, updated: GroundParameters) -> None:
        if self._finder is None:  # configuring checks them all
            return
        self._finder.settings = updated.settings()
        self._find_classes(updated)

    def on_time_jump(self, now_ns: int) -> None:
        if self._transforms is not None:
            self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._open_camera()
        self._names, self._kinds = {}, None
        self.health.clear('classes')

    def on_teardown(self) -> None:
        self._finder = None
        transforms, self._transforms = self._transforms, None
        if transforms is not None:
            transforms.close()

    def _open_camera(self) -> None:
        """Know no camera yet."""
        self._camera = CameraFeed(self.parameters.image_rectified, [self.resolve_topic_name('camera_info')])

    # Inputs

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._camera.put(message)
        self.health.show('assumed.image_rectified', self._camera.assumed.get('image_rectified'))

    def _on_label_info(self, message: LabelInfo, clock: StageClock) -> None:
        self._names = labels_of(message)
        self._find_classes(self.parameters)

    def _on_depth(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        if self._uses_depth():
            self._release(self._pairing.put('depth', stamp_ns(item.header), item))  # decoded when it is used

    def _on_mask(self, frame: ImageFrame, clock: StageClock) -> None:
        if self._uses_depth():
            released = self._pairing.put(CLASS_MASK, stamp_ns(frame.header), (frame, clock))
            clock.defer()
            self._release(released)
        else:
            self._publish(frame, None)

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain() if self._uses_depth() else None)

    def _uses_depth(self) -> bool:
        distance = self.parameters.distance
        return distance is Distance.DEPTH or (
            distance is Distance.AUTO and self.count_publishers(self._depth_topic) > 0
        )

    def _must_have_depth(self) -> bool:
        return bool(self.parameters.distance is Distance.DEPTH)

    def _release(self, released: list[Paired]) -> None:
        self._pairing.drop_forgotten(self.health.dropped)
        for pair in released:
            frame, clock = pair.item
            with self.work(clock):
                if pair.matches['depth'] is None:
                    raise FrameError(
                        'depth_missing',
                        f'no depth came for a mask; is {self._depth_topic} published for each image, and with its '
                        'stamp? distance: plane does without',
                    )
                self._publish(frame, pair.matches['depth'])

    def _find_classes(self, chosen: GroundParameters) -> None:
        """Look the classes up among those of the mask; until `label_info` has come none is known."""
        if not self._names:
            return
        numbers = {name: number for number, name in self._names.items()}
        asked = {'ground': chosen.ground_classes, 'obstacle': chosen.obstacle_classes}
        unknown = [name for names in asked.values() for name in names if name not in numbers]
        what = (
            f'{", ".join(unknown)}: no class of the mask; label_info has {", ".join(numbers)}; correct ground_classes '
            'and obstacle_classes'
        )
        self.health.standing('classes', what if unknown else None, error=True)
        ground, obstacle = ([numbers[name] for name in names if name in numbers] for names in asked.values())
        self._kinds = ClassKinds(ground, obstacle)

    # A frame

    def _publish(self, frame: ImageFrame, depth: ImageFrame | CompressedImage | None) -> None:
        """Publish what is wanted of one mask; raises FrameError where it cannot be used."""
        header, with_grid = frame.header, self._grids.wanted
        if not (with_grid or self._drivable.wanted or self._obstacles.wanted):
            return
        found = self._find(frame, depth, with_grid)
        for publisher, points in ((self._drivable, found.drivable), (self._obstacles, found.obstacles)):
            self._publish_points(publisher, header, points)
        if found.grid is not None:
            own = Header(stamp=header.stamp, frame_id=self._base_frame)
            self._grids.publish(occupancy_grid(own, self._grid, found.grid))

    def _publish_points(self, publisher: Publisher[PointCloud2], header: Header, points: ClassPoints) -> None:
        if publisher.wanted:
            xyz = points.xyz + self._camera.origin.astype(points.xyz.dtype)
            publisher.publish(class_cloud(header, xyz, points.class_ids))

    def _find(self, frame: ImageFrame, depth: ImageFrame | CompressedImage | None, with_grid: bool) -> Ground:
        finder, kinds = self._finder, self._kinds
        if finder is None:
            raise FrameError('not_configured', 'a frame arrived while the node was being cleaned up')
        if kinds is None:
            raise FrameError(
                'no_label_info',
                'no label_info has arrived, so nobody knows which class is which; remap label_info to that of the node '
                'that makes the mask',
            )
        self._camera.fit(frame.image.width, frame.image.height)
        camera = self._camera.camera
        if camera is None:
            raise FrameError(
                'no_camera_info', 'no usable CameraInfo has arrived; remap camera_info to that of the images'
            )
        mask = class_mask_array(frame)
        if depth is None:
            return finder.on_plane(mask, kinds, camera, self._camera_in_base(frame.header), with_grid)
        image = depth_frame_of(depth)
        self._check_view(frame.header, image.header)
        checked = DepthImage.check(depth_array(image), depth_encoding(image), self.parameters.depth_unit_scale or None)
        T_base_camera = self._camera_in_base(frame.header) if with_grid else None
        return finder.by_depth(mask, kinds, camera, checked, T_base_camera)

    def _check_view(self, mask: Header, depth: Header) -> None:
        frames = [frame_name(header.frame_id) for header in (mask, depth)]
        if all(frames) and frames[0] != frames[1]:
            raise FrameError(
                'depth_unregistered',
                f'depth is in frame {frames[1]}, the mask in {frames[0]}: they show two views; use the depth that is '
                'registered (aligned) to colour, or distance: plane',
            )

    def _camera_in_base(self, header: Header) -> Pose:
        """T_base_camera, of the camera's centre; raises TransformError."""
        if self._transforms is None:
            raise FrameError('not_configured', 'a frame arrived while the node was being cleaned up')
        wait_s = self.parameters.transform_wait_s
        matrix = self._transforms.wait(self._base_frame, frame_name(header.frame_id), stamp_ns(header), wait_s)
        T_base_frame = Pose.from_matrix(matrix)
        return Pose(T_base_frame.rotation, T_base_frame.apply(self._camera.origin[None])[0])


main = node_main(GroundNode)
