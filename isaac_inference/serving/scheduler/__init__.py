# SPDX-License-Identifier: Apache-2.0
"""Which of a process's models runs next, on the CPU's cores and on each GPU, by their priorities."""
