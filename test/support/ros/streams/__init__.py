# SPDX-License-Identifier: Apache-2.0
"""Several cameras around one model."""
