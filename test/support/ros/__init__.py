# SPDX-License-Identifier: Apache-2.0
"""Benches of real nodes, and stand-ins for what a machine may lack."""
