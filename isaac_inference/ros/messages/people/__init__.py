# SPDX-License-Identifier: Apache-2.0
"""People as messages: joints in space, markers for RViz, and what REP 155 has."""
