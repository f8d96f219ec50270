# SPDX-License-Identifier: Apache-2.0
"""People made of dots, and a tiny network that finds them."""
