# SPDX-License-Identifier: Apache-2.0
"""A simulated RGB-D camera over a table-top scene, with ground truth, on a CPU and without a display.

From a notebook:

    from isaac_inference.sim import Scene, default_camera
    frame = Scene(default_camera(), seed=1).frame(time_s=0.0)
"""

from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.catalog import KINDS, LABELS, OBJECT_SIZES, OBJECTS, ObjectKind
from isaac_inference.sim.samples import Sample, training_sample
from isaac_inference.sim.scene import Scene, SimFrame, Truth

__all__ = [
    'KINDS',
    'LABELS',
    'OBJECTS',
    'OBJECT_SIZES',
    'ObjectKind',
    'Sample',
    'Scene',
    'SimFrame',
    'Truth',
    'default_camera',
    'training_sample',
]
