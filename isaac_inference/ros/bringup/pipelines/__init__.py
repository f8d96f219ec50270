# SPDX-License-Identifier: Apache-2.0
"""Several cameras and several models in one graph: where each pipeline's nodes are, and what they share."""
