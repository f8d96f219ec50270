# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference validate`: how well two models or engines agree."""
