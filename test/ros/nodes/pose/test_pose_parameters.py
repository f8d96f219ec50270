# SPDX-License-Identifier: Apache-2.0
"""What the node's parameters make of the poses' settings."""

from __future__ import annotations

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ros.nodes.pose.parameters import DepthParameters, PoseParameters
from isaac_inference.stages.poses import PoseSettings


def test_the_defaults_are_those_of_the_ops() -> None:
    assert PoseParameters().settings() == PoseSettings()


def test_depth_s_parameters_reach_the_depth_method() -> None:
    made = PoseParameters(depth_error=0.02, depth=DepthParameters(max_misfit=4.0)).settings()
    assert made.depth == DepthSettings(depth_error=0.02, max_misfit=4.0)


def test_the_camera_s_error_is_one_for_depth_and_registration() -> None:
    assert PoseParameters(depth_error=0.02).settings().registration == RegistrationSettings(bias=0.02)
