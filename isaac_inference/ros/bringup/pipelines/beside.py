# SPDX-License-Identifier: Apache-2.0
"""What starts beside the pipelines, and what is said of them all."""

from __future__ import annotations

from collections.abc import Sequence

from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.ros.bringup.pipelines.wanted import Wanted


def budget_nodes(budget: str, pipelines: Sequence[Placed]) -> list[NodeSpec]:
    """The node that watches how long frames take, and how many there are; none where nobody asked for either.

    Args:
        budget: name or path of a file of budgets; '' for none.
        pipelines: whose frames are watched.
    """
    return []


def separate_processes(wanted: Wanted, *, composed: bool) -> list[str]:
    """What is lost where each node is a process."""
    if composed or not any(pipeline.name for pipeline in wanted.pipelines):
        return []
    classes = sorted({pipeline.priority for pipeline in wanted.pipelines})
    if len(classes) < 2:
        return []
    return [
        f'composed:=false: the priorities {", ".join(map(str, classes))} hold within a process, and each inference '
        'node is one of its own; leave composed out, so that they wait for each other'
    ]
