# SPDX-License-Identifier: Apache-2.0
"""Pure functions: arrays in, arrays out. No ROS, no model.

One folder per subject: `image` (message bytes to colour image to model input), `decoders` (model outputs to boxes),
`boxes` (detections and NMS), `depth` (points, positions and boxes from depth), `geometry` (poses, cameras, shapes),
`pose` (6-DoF poses), `tracking` (ids and smooth poses), `drawing`. Every public function shows an example.
"""
