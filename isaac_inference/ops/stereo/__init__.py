# SPDX-License-Identifier: Apache-2.0
"""Two cameras side by side: what matches where, and how far away that is."""
