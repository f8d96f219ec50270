# SPDX-License-Identifier: Apache-2.0
"""The model card: its parts, the YAML that completes it, and the conventions of model families."""
