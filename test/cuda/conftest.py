# SPDX-License-Identifier: Apache-2.0
"""A GPU's owner over stand-ins of PyCUDA and of the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
from support.cuda.driver_stub import build_driver
from support.cuda.fake_pycuda import pycuda as pycuda


@pytest.fixture
def driver_library(tmp_path, monkeypatch, request):
    """The stand-in driver, in the place of the machine's; `request.param` are its codes."""
    from isaac_inference.cuda import driver

    path = build_driver(tmp_path, **getattr(request, 'param', {}))
    library = ctypes.CDLL(str(path))
    monkeypatch.setattr(driver, 'driver_library', lambda: library)
    monkeypatch.setattr(driver, 'pop_context', lambda: None)
    driver.driver_function.cache_clear()
    yield path
    driver.driver_function.cache_clear()


@pytest.fixture
def gpu(pycuda, driver_library) -> Iterator[object]:
    """A Gpu that is not shared."""
    from isaac_inference.cuda.device import Gpu

    made = Gpu(0)
    yield made
    made.close()
    assert pycuda.state.stack == [], 'a context was left on the stack; a real thread would abort the process at its end'
