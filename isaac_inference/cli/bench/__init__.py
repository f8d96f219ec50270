# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference bench`: how fast a model runs."""
