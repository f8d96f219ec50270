# SPDX-License-Identifier: Apache-2.0
"""Two models or engines on the same images: boxes matched, outputs compared, timed alternately."""
