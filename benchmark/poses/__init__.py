# SPDX-License-Identifier: Apache-2.0
"""6-DoF poses: how right and how fast."""
