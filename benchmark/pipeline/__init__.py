# SPDX-License-Identifier: Apache-2.0
"""The pipeline on a CPU: how right and how fast."""
