# SPDX-License-Identifier: Apache-2.0
"""What the machine itself reports, such as its power."""
