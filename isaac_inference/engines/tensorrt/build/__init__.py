# SPDX-License-Identifier: Apache-2.0
"""How a plan comes to be: found or built (`ensure`), in a process of its own (`process`), checked before it is kept."""
