# SPDX-License-Identifier: Apache-2.0
"""What a graph says of one picture, for people and for JSON; one file for each kind of finding."""
