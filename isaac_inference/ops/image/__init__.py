# SPDX-License-Identifier: Apache-2.0
"""Images: encodings, the letterbox, and the way into an input tensor."""
