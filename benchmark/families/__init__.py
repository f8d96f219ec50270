# SPDX-License-Identifier: Apache-2.0
"""Detectors in the layouts that exporters write, each with what is true of it, to measure how many are recognized."""
