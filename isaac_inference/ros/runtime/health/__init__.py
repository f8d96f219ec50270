# SPDX-License-Identifier: Apache-2.0
"""How a node is: counts, problems, timings, and the diagnostics made of them."""
