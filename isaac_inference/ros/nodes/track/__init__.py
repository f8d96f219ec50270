# SPDX-License-Identifier: Apache-2.0
"""The track node: ids that stay, and smooth poses."""
