# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference convert`: a model file in another precision."""
