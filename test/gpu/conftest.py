# SPDX-License-Identifier: Apache-2.0
"""Tests on a real GPU; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from isaac_inference.cuda.availability import why_no_gpu

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Skips everything in this folder before any fixture of it runs."""
    reason = why_no_gpu()
    if reason:
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope='session')
def gpu():
    """The machine's first GPU."""
    from isaac_inference.cuda.device import gpu

    return gpu()


@pytest.fixture
def stream(gpu):
    """A stream of the test's own."""
    made = gpu.stream()
    yield made
    made.synchronize()
    made.close()
