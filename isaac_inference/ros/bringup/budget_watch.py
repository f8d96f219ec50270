# SPDX-License-Identifier: Apache-2.0
"""The node that watches a graph's budget and rate, from the graph's own nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.runtime.resources import budgets_folder
from isaac_inference.serving.budgets.budget_file import read_budget

# Nodes whose work is one after the other's, in the order of the data; the last one of a graph is its output. A tracker
# is behind the poses, which it smooths; skeletons are a branch beside them.
_CHAIN = ('preprocess', 'inference', 'tags', 'detection', 'segmentation', 'depth')
_CROPS = ('crops', 'crops_inference', 'keypoints')
_OBJECTS = ('pose', 'track')


def budget_nodes(
    graph: Iterable[NodeSpec],
    budget: str,
    camera_info: str,
    target_rate_hz: float = 0.0,
    shared: Mapping[str, str] | None = None,
) -> tuple[NodeSpec, ...]:
    """The budget node of a graph; none where there is neither a budget nor a rate to watch.

    Args:
        graph: the nodes that it watches.
        budget: a preset, or the path of a YAML file; '' for none.
        camera_info: topic of the camera's CameraInfo, whose stamps are those of the images.
        target_rate_hz: frames per second that should come out; 0 for none.
        shared: nodes that several cameras share, beside those of the graph: name in a graph of one camera -> full name,
            such as {'inference': '/inference'}.

    Raises:
        ConfigError: there is no such budget, it cannot be used, or no node of the graph reports its timings.
    """
    if not budget and not target_rate_hz:
        return ()
    chosen = read_budget(budget, budgets_folder()) if budget else None
    shared = shared or {}
    names = [shared.get(name, name) for name in watched({*(spec.name for spec in graph), *shared})]
    if not names:
        raise ConfigError(
            f'budget {budget or target_rate_hz}: no node here has timings to watch; give a model, tags, poses or track'
        )
    # a preset by its name, a file by a path that is the same wherever the node runs
    own = budget if chosen is None or budget == chosen.name else str(Path(budget).expanduser().absolute())
    rate = {'target_rate_hz': float(target_rate_hz)} if target_rate_hz else {}  # else a parameter file may have one
    parameters = {'budget': own, 'nodes': names, **rate}
    return (NodeSpec.of('budget', parameters, {'camera_info': camera_info}),)


def watched(names: Iterable[str]) -> tuple[str, ...]:
    """Those of a graph's nodes that a frame passes one after the other; the last one is the output."""
    there = set(names)
    order = [*_CHAIN, *_CROPS, *(_OBJECTS if 'pose' in there or not there & set(_CROPS) else ())]
    found = [name for name in order if name in there]
    if 'skeletons' in there and 'pose' not in there:
        found.append('skeletons')
    return tuple(found)
