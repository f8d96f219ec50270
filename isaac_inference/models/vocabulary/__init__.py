# SPDX-License-Identifier: Apache-2.0
"""The classes of open-vocabulary detectors as text embeddings: from a file, or made from the labels by an encoder."""
