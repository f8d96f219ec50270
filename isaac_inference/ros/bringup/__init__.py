# SPDX-License-Identifier: Apache-2.0
"""The graph as data, and every way to start it: launch plans, container, processes, clients."""
