# SPDX-License-Identifier: Apache-2.0
"""The annotate node: pictures for people."""
