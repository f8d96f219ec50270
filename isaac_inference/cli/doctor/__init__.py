# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference doctor`: what this machine offers, and what is wrong with it."""
