# SPDX-License-Identifier: Apache-2.0
"""isaac-inference pipelines."""
