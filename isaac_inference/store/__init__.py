# SPDX-License-Identifier: Apache-2.0
"""Files that this user owns: built engines, locks, and the cache folder for them."""
