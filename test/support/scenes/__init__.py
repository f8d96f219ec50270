# SPDX-License-Identifier: Apache-2.0
"""Scenes and pictures whose truth is known: points, rays, meshes in depth, printed tags."""
