# SPDX-License-Identifier: Apache-2.0
"""The isaac-inference command line."""
