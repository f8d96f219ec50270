# SPDX-License-Identifier: Apache-2.0
"""Cards of depth networks bound to the ops that read, align and check what they put out."""
