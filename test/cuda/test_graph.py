# SPDX-License-Identifier: Apache-2.0
"""Graph capture: the driver's calls in order, and a stream that is usable again whatever goes wrong."""

from __future__ import annotations

import pytest
from support.cuda.driver_stub import calls

from isaac_inference.errors import DeviceError


@pytest.fixture
def capture(gpu):
    from isaac_inference.cuda.graph import capture

    stream = gpu.stream()
    return lambda enqueue: (capture(gpu, stream, enqueue), stream)


def test_capture_launch_close(capture, driver_library, gpu):
    graph, stream = capture(lambda: None)
    graph.launch(stream)
    graph.close()
    graph.close()
    assert calls(driver_library) == ['begin', 'end', 'instantiate', 'destroy', 'launch', 'destroy-made']
    assert gpu.counters.launches == 1
    with pytest.raises(DeviceError, match='closed'):
        graph.launch(stream)


def test_a_dropped_graph_is_destroyed_with_the_bin(capture, driver_library, gpu):
    graph, _ = capture(lambda: None)
    del graph
    assert 'destroy-made' not in calls(driver_library)
    gpu.context.empty_bin()
    assert 'destroy-made' in calls(driver_library)


def test_an_error_ends_the_capture(capture, driver_library, pycuda):
    def broken():
        raise pycuda.Error('not permitted when stream is capturing')

    with pytest.raises(DeviceError, match='cannot be captured: not permitted'):
        capture(broken)
    assert calls(driver_library) == ['begin', 'end', 'destroy']
    with pytest.raises(ZeroDivisionError):
        capture(lambda: 1 / 0)
    assert calls(driver_library) == ['begin', 'end', 'destroy'] * 2


@pytest.mark.parametrize('driver_library', [{'end': 901}], indirect=True)
def test_an_invalidated_capture_is_an_error(capture, driver_library):
    with pytest.raises(DeviceError, match=r'CUDA_ERROR_NAMED \(901\)'):
        capture(lambda: None)
    assert calls(driver_library) == ['begin', 'end']
