# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, camera models, meshes and surfaces."""
