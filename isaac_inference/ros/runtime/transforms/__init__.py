# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames at an image's stamp, from /tf and /tf_static: one protocol, two sources behind it."""

from __future__ import annotations

from isaac_inference.ros.runtime.transforms.base import TransformError, TransformSource
from isaac_inference.ros.runtime.transforms.choose import TransformLibrary, make_transform_source
from isaac_inference.ros.runtime.transforms.lazy_source import LazyTransforms

__all__ = ['LazyTransforms', 'TransformError', 'TransformLibrary', 'TransformSource', 'make_transform_source']
