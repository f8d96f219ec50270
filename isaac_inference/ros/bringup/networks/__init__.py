# SPDX-License-Identifier: Apache-2.0
"""Networks beyond the one model of a graph: a second one behind a detector, and those that make depth."""
