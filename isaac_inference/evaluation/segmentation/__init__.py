# SPDX-License-Identifier: Apache-2.0
"""How good class masks are, against a known truth."""
