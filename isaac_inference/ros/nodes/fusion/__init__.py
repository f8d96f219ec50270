# SPDX-License-Identifier: Apache-2.0
"""The fusion node: one pose of each object that several cameras see."""
