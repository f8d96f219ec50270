# SPDX-License-Identifier: Apache-2.0
"""Parameters of the simulated camera."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from isaac_inference.errors import ConfigError
from isaac_inference.ros.messages.depth import DepthEncoding
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters

MOST_CAMERAS = 16


class SceneKind(str, Enum):
    """What the camera looks at."""

    TABLETOP = 'tabletop'
    PEOPLE = 'people'


@dataclass(frozen=True)
class SimCameraParameters(NodeParameters):
    """Parameters of the simulated camera."""

    seed: int = param(1, 'Random seed.', minimum=0)
    scene: SceneKind = param(
        SceneKind.TABLETOP, 'What is looked at: objects on a table, or people who walk about a room.'
    )
    people: int = param(0, 'People in the room; 0 draws one to three from the seed.', minimum=0, maximum=3)
    objects: int = param(6, 'Objects on the table; up to six there is one of each kind.', minimum=1, maximum=9)
    cameras: tuple[str, ...] = param(
        (),
        'Names of several cameras around one table: each publishes below its name, front as front/image, in a frame of '
        'its own, `<name>_<frame_id>`; empty: one camera without a name.',
    )
    camera_phases: tuple[float, ...] = param(
        (),
        'When in the period each camera takes its image, as a part of it from 0 to below 1, in the order of `cameras`: '
        'cameras without a common trigger; empty: all at once, with one stamp.',
        minimum=0.0,
        maximum=0.99,
    )
    cameras_off: tuple[str, ...] = param((), 'Names of cameras that give no images, as if unplugged.', live=True)
    calibration_error_m: float = param(
        0.0,
        "Standard deviation of what is wrong with each camera's position on /tf, along each axis; drawn from the seed.",
        unit='m',
        minimum=0.0,
        maximum=1.0,
    )
    calibration_error_rad: float = param(
        0.0,
        "Standard deviation of what is wrong with each camera's rotation on /tf, about each axis.",
        unit='rad',
        minimum=0.0,
        maximum=1.0,
    )
    rate_hz: float = param(30.0, 'Images per second.', unit='Hz', minimum=0.01, maximum=1000.0)
    max_ahead: int = param(
        0,
        'Make no image while so many are not answered on `detections`, since who drops them would only lack the time '
        'that they took; 0 makes them at rate_hz whatever becomes of them, as a real camera does.',
        unit='images',
        minimum=0,
        maximum=1000,
    )
    step: bool = param(False, 'Publish one image per message on `step` only, with stamps 1 / rate_hz apart.')
    frames: int = param(0, 'Stop after this many images; 0 never stops.', minimum=0)
    scene_frames: int = param(0, 'Start another scene after this many images; 0 keeps the first.', minimum=0)
    image_size: tuple[int, ...] = param((640, 480), 'Width and height of the images.', unit='px', minimum=16)
    distorted: bool = param(False, 'Give the lens a barrel distortion.')
    depth_encoding: DepthEncoding = param(DepthEncoding.METRES, 'Depth encoding: metres as float, or mm in 16 bits.')
    depth_size: tuple[int, ...] = param(
        (0, 0), 'Width and height of depth images; 0, 0: same as the colour images.', unit='px', minimum=0
    )
    frame_id: str = param('camera_optical_frame', 'frame_id of the images: the optical frame, z forward.')
    world_frame: str = param('world', 'Frame of the table, z up.')
    base_frame: str = param('base_link', "The robot's base, fixed to the table's edge.")
    image_qos: QosParameters = group(QosParameters(), 'QoS of the image and CameraInfo publishers.')

    def frame_of(self, camera: str) -> str:
        """frame_id of a camera's images; '' is the only camera."""
        return f'{camera}_{self.frame_id}' if camera else self.frame_id

    def check_cameras(self) -> None:
        """Raises ConfigError: names, phases and scene do not go together; all that is wrong is said."""
        names, problems = self.cameras, []
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(f'parameter cameras: {", ".join(twice)} comes twice; give each camera a name of its own')
        if odd := [name for name in names if not re.fullmatch(r'[A-Za-z][A-Za-z0-9_]*', name)]:
            problems.append(
                f'parameter cameras: got {", ".join(map(repr, odd))}, expected names of letters, digits and _, which '
                'begin with a letter, as topics and frames are named after them'
            )
        if len(names) > MOST_CAMERAS:
            problems.append(f'parameter cameras: got {len(names)}, expected at most {MOST_CAMERAS}')
        if names and self.scene is SceneKind.PEOPLE:
            problems.append(
                'parameter cameras: people are seen by one camera only; leave cameras empty, or scene tabletop'
            )
        if self.camera_phases and len(self.camera_phases) != max(len(names), 1):
            problems.append(
                f'parameter camera_phases: got {len(self.camera_phases)}, expected one for each of '
                f'{max(len(names), 1)} cameras, or none'
            )
        if problems:
            raise ConfigError('\n'.join(problems))

    def check_cameras_off(self) -> None:
        """Raises ConfigError: one is named that there is not."""
        if unknown := [name for name in self.cameras_off if name not in self.cameras]:
            there = ', '.join(self.cameras) or 'none with a name'
            raise ConfigError(f'parameter cameras_off: no camera {", ".join(map(repr, unknown))}; there are {there}')

    def by_phase(self) -> list[tuple[float, list[int]]]:
        """(phase, numbers of the cameras) of all images of a period, those of one moment together, in order."""
        count = max(len(self.cameras), 1)
        phases = self.camera_phases or (0.0,) * count
        return [(phase, [index for index in range(count) if phases[index] == phase]) for phase in sorted(set(phases))]
