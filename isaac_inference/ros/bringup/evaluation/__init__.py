# SPDX-License-Identifier: Apache-2.0
"""The graph under evaluation: its nodes, the client that shows it frames, and what comes back."""
