# SPDX-License-Identifier: Apache-2.0
"""Disparities as stereo_msgs/DisparityImage, and back.

By that message's definition Z = f T / d: its disparities are less by what the principal points of the two cameras
differ by, and any disparity below `min_disparity` is invalid.
"""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from isaac_inference.ops.stereo.matcher import STEP, Disparity
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import from_image_message, image_frame_from_array, to_image_message


def disparity_image(header: Header, found: Disparity, rig: StereoRig) -> DisparityImage:
    """A message of what was matched."""
    height, width = found.pixels.shape
    lowest = max(0.0, found.lowest + rig.doffs)
    values = found.pixels + np.float32(rig.doffs)
    with np.errstate(invalid='ignore'):
        values[~(values >= lowest)] = lowest - 1.0
    # the columns at the left whose match may be outside the right image are no less valid: each match is inside
    return DisparityImage(
        header=header,
        image=to_image_message(image_frame_from_array(values, '32FC1', header)),
        f=float(rig.camera.K[0, 0]),
        t=rig.baseline,
        valid_window=RegionOfInterest(x_offset=0, y_offset=0, width=width, height=height),
        min_disparity=lowest,
        max_disparity=found.highest + rig.doffs,
        delta_d=STEP,
    )


def disparity_array(message: DisparityImage) -> np.ndarray:
    """The (H, W) float32 px of a message, NaN where it says that there is none.

    Raises:
        FrameError: 'depth_encoding' or 'bad_image', as `depth_array`.
    """
    values = np.array(depth_array(from_image_message(message.image)), np.float32)
    values[~(values >= message.min_disparity)] = np.nan
    return values
