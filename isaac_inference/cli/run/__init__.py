# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference run`: a model on pictures, a video, a camera or a recording."""
