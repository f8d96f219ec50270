# SPDX-License-Identifier: Apache-2.0
"""float16 by casting, and where float32 must stay."""
