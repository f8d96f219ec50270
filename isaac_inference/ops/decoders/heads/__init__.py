# SPDX-License-Identifier: Apache-2.0
"""Decoders of what a network's heads output before anything is put together: maps, one for each level or meaning."""
