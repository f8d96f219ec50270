# SPDX-License-Identifier: Apache-2.0
"""CUDA driver calls that PyCUDA lacks: graphs, priorities and foreign streams, through ctypes.

ctypes releases the GIL around each call. All of them need a current context. Signatures: cuda.h of CUDA 11.4 to 13.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_int, c_uint, c_ulonglong, c_void_p

from isaac_inference.cuda.availability import DRIVER
from isaac_inference.errors import DeviceError

CAPTURE_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate and query while this one captures."""

_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING
_PRIORITY_ATTRIBUTE = 8  # CU_LAUNCH_ATTRIBUTE_PRIORITY
_MEMORY_TYPE = 2  # CU_POINTER_ATTRIBUTE_MEMORY_TYPE
_HOST_MEMORY = 1  # CU_MEMORYTYPE_HOST

_SIGNATURES: dict[str, tuple[type, ...]] = {
    'cuCtxPopCurrent_v2': (POINTER(c_void_p),),
    'cuCtxGetStreamPriorityRange': (POINTER(c_int), POINTER(c_int)),
    'cuStreamSetAttribute': (c_void_p, c_int, c_void_p),
    'cuStreamGetPriority': (c_void_p, POINTER(c_int)),
    'cuStreamBeginCapture_v2': (c_void_p, c_int),
    'cuStreamEndCapture': (c_void_p, POINTER(c_void_p)),
    'cuStreamWaitEvent': (c_void_p, c_void_p, c_uint),
    'cuGraphInstantiateWithFlags': (POINTER(c_void_p), c_void_p, c_ulonglong),
    'cuGraphLaunch': (c_void_p, c_void_p),
    'cuGraphDestroy': (c_void_p,),
    'cuGraphExecDestroy': (c_void_p,),
    'cuEventCreate': (POINTER(c_void_p), c_uint),
    'cuEventRecord': (c_void_p, c_void_p),
    'cuEventDestroy_v2': (c_void_p,),
    'cuPointerGetAttribute': (c_void_p, c_int, c_ulonglong),
}


class _PriorityValue(ctypes.Union):
    """CUlaunchAttributeValue: 64 bytes, of which the priority takes the first four."""

    _fields_ = [('padding', ctypes.c_char * 64), ('priority', c_int)]


def stream_priorities() -> tuple[int, int]:
    """The device's (lowest, highest) stream priority; the highest is the smaller number."""
    least, greatest = c_int(), c_int()
    _call('cuCtxGetStreamPriorityRange', byref(least), byref(greatest))
    return least.value, greatest.value


def set_stream_priority(stream: int, priority: int) -> None:
    """Sets the priority, which PyCUDA can't when it creates a stream; drivers before CUDA 12 may refuse it."""
    value = _PriorityValue()
    value.priority = priority
    _call('cuStreamSetAttribute', stream, _PRIORITY_ATTRIBUTE, byref(value))


def stream_priority(stream: int) -> int:
    """The priority of a stream."""
    priority = c_int()
    _call('cuStreamGetPriority', stream, byref(priority))
    return priority.value


def begin_capture(stream: int) -> None:
    """Work that this thread enqueues on the stream from now on becomes a graph and does not run."""
    _call('cuStreamBeginCapture_v2', stream, CAPTURE_THREAD_LOCAL)


def end_capture(stream: int) -> int:
    """Ends a capture, successful or not; returns the graph."""
    graph = c_void_p()
    _call('cuStreamEndCapture', stream, byref(graph))
    return graph.value or 0


def instantiate(graph: int) -> int:
    """Makes a graph executable."""
    executable = c_void_p()
    _call('cuGraphInstantiateWithFlags', byref(executable), graph, 0)
    return executable.value or 0


def launch_graph(executable: int, stream: int) -> None:
    """Enqueues a whole graph."""
    _call('cuGraphLaunch', executable, stream)


def destroy_graph(graph: int) -> None:
    """Frees a graph; executables instantiated from it stay valid."""
    _call('cuGraphDestroy', graph)


def destroy_executable(executable: int) -> None:
    """Frees an executable graph; a running one is freed when it is done."""
    _call('cuGraphExecDestroy', executable)


def wait_for_stream(waiter: int, other: int) -> None:
    """Work enqueued on `waiter` from now on starts when the work now on `other` is done; the host does not wait.

    PyCUDA can't do this: its events have no handle, and it doesn't accept streams created elsewhere.
    """
    event = c_void_p()
    _call('cuEventCreate', byref(event), _DISABLE_TIMING)
    try:
        _call('cuEventRecord', event, other)
        _call('cuStreamWaitEvent', waiter, event, 0)
    finally:
        _call('cuEventDestroy_v2', event)  # the driver keeps it until it has occurred


def is_page_locked(address: int) -> bool:
    """Whether host memory is known to the driver, which refuses to say anything of pageable memory."""
    kind = c_int()
    failed = driver_function('cuPointerGetAttribute')(byref(kind), _MEMORY_TYPE, address)
    return not failed and kind.value == _HOST_MEMORY


def pop_context() -> None:
    """Pops the top of this thread's driver context stack."""
    _call('cuCtxPopCurrent_v2', byref(c_void_p()))


@functools.cache
def driver_library() -> ctypes.CDLL:
    """The driver, loaded once; raises DeviceError if there is none."""
    try:
        return ctypes.CDLL(DRIVER)
    except OSError as error:
        raise DeviceError(f'no NVIDIA driver: {error}; install it') from error


@functools.cache
def driver_function(name: str) -> ctypes._NamedFuncPointer:
    """A driver call with its signature set, looked up once; raises DeviceError if an old driver lacks it."""
    try:
        function = getattr(driver_library(), name)
    except AttributeError as error:
        raise DeviceError(
            f'the NVIDIA driver has no {name}; update it to one that supports CUDA 11.4 or newer'
        ) from error
    function.restype = c_int
    function.argtypes = _SIGNATURES[name]
    return function


def _call(name: str, *arguments: object) -> None:
    failed = driver_function(name)(*arguments)
    if failed:
        raise DeviceError(f'{name} failed: {error_text(failed)}')


def error_text(code: int) -> str:
    """'CUDA_ERROR_INVALID_VALUE (1): invalid argument' from a driver error code."""
    texts = []
    for name in ('cuGetErrorName', 'cuGetErrorString'):
        function = getattr(driver_library(), name)
        function.argtypes = (c_int, POINTER(ctypes.c_char_p))
        text = ctypes.c_char_p()
        function(code, byref(text))
        texts.append((text.value or b'unknown').decode(errors='replace'))
    return f'{texts[0]} ({code}): {texts[1]}'
