# SPDX-License-Identifier: Apache-2.0
"""Latency budgets: how long a frame may take, from the camera's stamp to the output, and which stage takes it."""
