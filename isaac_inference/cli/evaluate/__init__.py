# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference evaluate`: accuracy of the node graph against a known truth."""
