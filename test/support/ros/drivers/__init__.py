# SPDX-License-Identifier: Apache-2.0
"""Camera drivers of other packages, stood in for by processes of their own."""
