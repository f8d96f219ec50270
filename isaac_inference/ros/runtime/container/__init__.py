# SPDX-License-Identifier: Apache-2.0
"""Where nodes run: the component container, processes, and their executor threads."""
