# SPDX-License-Identifier: Apache-2.0
"""Masks of single objects: out of a network's outputs, in one image of instances, as polygons, and compared."""
