# SPDX-License-Identifier: Apache-2.0
"""Files built to the layout of exporters that no package index has: their names, axes and last operators, small
random networks before them.
"""
