# SPDX-License-Identifier: Apache-2.0
"""What a model is for, and for each task how its outputs are recognised: one file each, with one contract (`base`)."""
