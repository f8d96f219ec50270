# SPDX-License-Identifier: Apache-2.0
"""Measurements, one figure a script: `python -m benchmark [names...] [--quick]`. They print and plot, never assert."""
