# SPDX-License-Identifier: Apache-2.0
"""Nodes that commands run beside a graph: they watch its diagnostics, feed it and collect what it answers."""
