# SPDX-License-Identifier: Apache-2.0
"""Pure functions: arrays in, arrays out. No ROS, no model.

One idea a file: `encodings` (message bytes to colour image), `letterbox` (image into the model's input and
    back),
`preprocess` (image to tensor), `decoders` (model outputs to boxes), `nms` and the `detections` they speak in.
"""
