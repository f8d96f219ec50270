# SPDX-License-Identifier: Apache-2.0
"""How the samples of each task of `evaluation/tasks` get through its graph, one file a task."""
