# SPDX-License-Identifier: Apache-2.0
"""StereoNode: two cameras side by side to depth, with a model or without."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.stereo.matcher import Disparity, StereoMatcher, check_sizes
from isaac_inference.ops.stereo.pair_check import check_pair
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.ros.messages.disparity import disparity_image
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, color_image, image_frame_from_array
from isaac_inference.ros.nodes.shared.depth_output import DepthOutput
from isaac_inference.ros.nodes.shared.image_input import ImageInput
from isaac_inference.ros.nodes.shared.network_link import Answer, NetworkLink
from isaac_inference.ros.nodes.shared.released import work_off
from isaac_inference.ros.nodes.stereo.cameras import SIDES, StereoCameras
from isaac_inference.ros.nodes.stereo.parameters import StereoParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import TransformSource, make_transform_source
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.stages.depth.stereo import StereoNetwork

_BUFFER = 8  # right images kept: while a pair is matched some arrive, and each left one finds its own
_ROW_OFFSET = 0.5  # px: rows of a pair that are further apart match worse
_FEW = 0.1  # part of the pixels: fewer matches are worth a message
_FEW_MATCHES = (
    'plain or overexposed surfaces, a lens that is covered, things nearer than the range of disparities reaches, or '
    'images that are no pair; more light, a pattern projector, or more matching.disparities help'
)
_FEW_KEPT = (
    'the network is less sure than network.min_confidence of the others, or the right image does not show them; look '
    'at the lenses, and at the preprocess lines of the card'
)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A pair that is one, rectified.

    Attributes:
        header: of the left image.
        rig: its calibration.
        is_rectified: whether it came so.
        view: gives the left image, (H, W, 3) uint8 BGR; asked only where somebody looks.
    """

    header: Header
    rig: StereoRig
    is_rectified: bool
    view: Callable[[], np.ndarray]


class StereoNode(PipelineNode):
    """`left/image`, `left/camera_info`, `right/image` and `right/camera_info` to depth in the left camera's view.

    `depth/image` (32FC1 m, NaN for unknown) with `depth/camera_info`, `depth/points` while somebody looks, `disparity`
    (DisparityImage), `depth/confidence` (mono8, 0 without a match). Raw images are rectified first; `left/image_rect`
    is then the picture that depth belongs to. Everything has the left image's stamp and frame; where that is a raw
    image's, it stands for the rectified view, as in stereo_image_proc.

    Without a model the images are matched (SGBM). With one they go to the inference node as `input_tensors`, and its
    `output_tensors` are read; all that is said of pairs, calibrations and outputs holds for both. There is a
    `depth/confidence` only of a network that gives one.

    The left image is the primary input: each is a frame that gives depth or is dropped. A pair that is none (swapped,
    not rectified, of different moments or sizes, with calibrations that contradict each other) is named and gives
    nothing.
    """

    Parameters = StereoParameters
    stage = 'stereo'

    def __init__(self, node_name: str = 'stereo', **kwargs: object) -> None:
        self._pairing = StampPairing('left', {})
        self._transforms: TransformSource | None = None
        self._network: StereoNetwork | None = None
        self._link: NetworkLink[_Pair] | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: StereoParameters = self.parameters
        self._matcher = StereoMatcher(chosen.matching.settings())
        self._open_network(chosen)
        self._open_cameras()
        self._output = DepthOutput(self, chosen.depth_qos)
        self._disparities = self.advertise(plain(DisparityImage), 'disparity', chosen.depth_qos)
        has_confidence = self._network is None or self._network.has_confidence
        self._confidences = self.advertise(IMAGE, 'depth/confidence', chosen.depth_qos) if has_confidence else None
        self._rectified = self.advertise(IMAGE, 'left/image_rect', chosen.depth_qos)
        right = Secondary(tolerance_s=chosen.stamp_tolerance_s, wait_s=chosen.wait_s, depth=_BUFFER)
        topics = {side: self.resolve_topic_name(f'{side}/image') for side in SIDES}
        self._pairing = StampPairing('left', {'right': right}, topics=topics)
        if chosen.check_tf:
            self._transforms = make_transform_source(self, chosen.transform_source)
        for side in SIDES:
            self.subscribe(
                plain(CameraInfo), f'{side}/camera_info', chosen.image_qos, partial(self._on_camera_info, side),
                primary=False,
            )  # fmt: skip
        self._images = {side: ImageInput(self, f'{side}/image', chosen) for side in SIDES}
        self._images['right'].subscribe(chosen.image_qos, self._on_right, primary=False, depth=_BUFFER)
        self._images['left'].subscribe(chosen.image_qos, self._on_left, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def _open_network(self, chosen: StereoParameters) -> None:
        """Raises ModelError for a model that is none for stereo."""
        self._network = self._link = None
        self.model = ''
        if chosen.model:
            card = read_card(chosen.model, chosen.model_card or None)
            self._network = StereoNetwork(card, chosen.network.settings())
            self._link = NetworkLink(self, card, chosen.tensor_qos, chosen.network.wait_s, self._on_answer)
            self.model = card.name

    def on_time_jump(self, now_ns: int) -> None:
        if self._transforms is not None:
            self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._pairing.clear()
        if self._link is not None:
            self._link.clear()
        self._open_cameras()

    def on_teardown(self) -> None:
        source, self._transforms = self._transforms, None
        if source is not None:
            source.close()

    def _open_cameras(self) -> None:
        """Know no camera yet."""
        names = {
            side: [self.resolve_topic_name(f'{side}/{name}') for name in ('image', 'camera_info')] for side in SIDES
        }
        self._cameras = StereoCameras(self.parameters.image_rectified, names)
        self._next_check_s = 0.0
        self._is_placed = False  # whether /tf has been seen to agree with P
        self._said: set[str] = set()

    # Inputs

    def _on_camera_info(self, side: str, message: CameraInfo, clock: StageClock) -> None:
        if self._cameras.put(side, message):
            self._next_check_s, self._is_placed = 0.0, False

    def _on_left(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        released = self._pairing.put('left', stamp_ns(item.header), (item, clock))
        clock.defer()
        self._release(released)

    def _on_right(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        self._release(self._pairing.put('right', stamp_ns(item.header), item))

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain())

    def _release(self, released: Sequence[Paired]) -> None:
        work_off(self, self._pairing, released, self._of_pair)

    # Frames

    def _of_pair(self, left: ImageFrame | CompressedImage, pair: Paired, clock: StageClock) -> None:
        if pair.missing:
            raise FrameError(
                'stereo_unpaired',
                f'no right image within {1e3 * self.parameters.stamp_tolerance_s:g} ms of a left one: depth of '
                'images of different moments would be wrong; have one camera trigger the other and both stamp alike, '
                'or raise stamp_tolerance_s where nothing moves',
            )
        self._measure(left, pair.matches['right'], clock)

    def _measure(
        self, left_item: ImageFrame | CompressedImage, right_item: ImageFrame | CompressedImage, clock: StageClock
    ) -> None:
        left, right = (
            _color(self._images[side].read(item)) for side, item in zip(SIDES, (left_item, right_item), strict=True)
        )
        check_sizes(left, right)
        self._cameras.fit(left.shape[1], left.shape[0])
        rig = self._cameras.rig
        header = left_item.header
        self._check_place(rig, header, right_item.header)
        if self._network is None or self._link is None:
            flat = [self._cameras.rectify(side, _grey(image)) for side, image in zip(SIDES, (left, right), strict=True)]
            rig.camera.check_image(flat[0].shape[1], flat[0].shape[0])
            self._check_content(lambda: (flat[0], flat[1]), rig)
            found = self._matcher(flat[0], flat[1], rig.lowest)
            pair = _Pair(header, rig, self._cameras.is_rectified, partial(self._cameras.rectify, 'left', left))
            self._say_what_is_assumed(rig, found)
            self._publish(pair, found)
            self.report_timings(header, (clock.finish(),))
            return
        seen = [
            np.ascontiguousarray(self._cameras.rectify(side, image))
            for side, image in zip(SIDES, (left, right), strict=True)
        ]
        rig.camera.check_image(seen[0].shape[1], seen[0].shape[0])
        self._check_content(lambda: (_grey(seen[0]), _grey(seen[1])), rig)
        tensors, letterbox = self._network.tensors(seen[0], seen[1], ColorOrder.BGR, -rig.doffs)
        self._say_what_is_assumed(rig)
        pair = _Pair(header, rig, self._cameras.is_rectified, lambda: seen[0])
        self._link.ask(header, tensors, letterbox, pair, clock)

    def _on_answer(self, answer: Answer[_Pair]) -> None:
        if self._network is None:
            raise FrameError('not_configured', 'an answer arrived while the network was being left')
        pair = answer.item
        found = self._network.read(answer.outputs, answer.letterbox, -pair.rig.doffs)
        self._publish(pair, found)
        self.report_timings(pair.header, answer.timings)

    def _publish(self, pair: _Pair, found: Disparity) -> None:
        header, rig = pair.header, pair.rig
        depth = rig.depth(found.pixels)
        farthest = self.parameters.max_depth
        if farthest:
            depth[depth > farthest] = np.nan
        if self._rectified.wanted and not pair.is_rectified:
            self._rectified.publish(image_frame_from_array(pair.view(), 'bgr8', header))
        if self._confidences is not None and self._confidences.wanted:
            self._confidences.publish(image_frame_from_array(found.confidence, 'mono8', header))
        if self._disparities.wanted:
            self._disparities.publish(disparity_image(header, found, rig))
        self._output.publish(header, depth, rig.camera, pair.view)
        self.health.show('matched', f'{100 * found.matched:.0f} %')
        why = _FEW_MATCHES if self._network is None else _FEW_KEPT
        few = f'only {100 * found.matched:.0f} % of the pixels have a match: {why}'
        self.health.standing('few_matches', few if found.matched < _FEW else None, log_again=False)

    def _check_place(self, rig: StereoRig, left: Header, right: Header) -> None:
        """Raises FrameError 'stereo_baseline' where /tf contradicts P; /tf that does not know says nothing."""
        names = frame_name(left.frame_id), frame_name(right.frame_id)
        if self._is_placed or self._transforms is None or not all(names) or names[0] == names[1]:
            return
        try:
            found = Pose.from_matrix(self._transforms.lookup(*names, stamp_ns(left)))
        except FrameError:
            return
        rig.check_transform(found)
        self._is_placed = True

    def _check_content(self, greys: Callable[[], tuple[np.ndarray, np.ndarray]], rig: StereoRig) -> None:
        """Raises what `check_pair` does, now and then; after a pair that is none the next one is looked at, too."""
        period_s, now_s = self.parameters.check_period_s, time.monotonic()
        if not period_s or now_s < self._next_check_s:
            return
        look = check_pair(*greys(), rig.doffs)
        self._next_check_s = now_s + period_s
        if math.isnan(look.offset):
            return  # hardly any features: nothing new is known
        self.health.show('row_offset_px', f'{look.offset:+.2f}')
        apart = (
            f'the right image is {look.offset:+.1f} px lower than the left one: the calibration is not quite true any '
            'more, and depth has more holes and errors for it; calibrate the pair again'
        )
        self.health.standing('row_offset', apart if abs(look.offset) > _ROW_OFFSET else None, log_again=False)

    def _say_what_is_assumed(self, rig: StereoRig, searched: Disparity | None = None) -> None:
        """Once for each calibration; and how near is seen, where a range of disparities was searched."""
        assumed = [f'{side} image_rectified is {text}' for side, text in self._cameras.assumed.items()]
        lines = [f'assumed: {one}; set image_rectified if it is not so' for one in assumed]
        self.health.show('baseline_m', f'{rig.baseline:.4f}')
        if searched is not None:
            nearest, count = rig.nearest(searched.highest), searched.highest - searched.lowest
            lines.append(f'nearest depth is {nearest:.2f} m, by {count} disparities')
            self.health.show('nearest_m', f'{nearest:.3f}')
        for text in lines:
            if text not in self._said:
                self._said.add(text)
                self.get_logger().info(text)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _color(frame: ImageFrame) -> np.ndarray:
    """(H, W, 3) uint8 BGR; maybe a view of the frame's bytes."""
    image, order = color_image(frame, ColorOrder.BGR)
    return image if order is ColorOrder.BGR else image[..., ::-1]


main = node_main(StereoNode)
