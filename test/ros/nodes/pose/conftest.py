# SPDX-License-Identifier: Apache-2.0
"""What the tests of the pose node stand on: a model with a card of sizes, and a graph around the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from support.ros.pose_views import Card


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Card().write(tmp_path_factory.mktemp('pose'))


@pytest.fixture(scope='module')
def around(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph
