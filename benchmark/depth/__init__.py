# SPDX-License-Identifier: Apache-2.0
"""Dense depth: how right, how complete and how fast."""
