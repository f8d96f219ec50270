# SPDX-License-Identifier: Apache-2.0
"""Drawing results on images, for people to look at."""
