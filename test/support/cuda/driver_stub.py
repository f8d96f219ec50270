# SPDX-License-Identifier: Apache-2.0
"""A driver library of a few lines of C, for what asks the driver directly: chosen answers, and a log of the calls."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#include <stdio.h>
static char journal[4096]; static int used, capturing;
static int note(const char *text) { used += snprintf(journal + used, sizeof journal - used, "%s ", text); return 0; }
const char *calls(void) { return journal; }
int cuInit(unsigned flags) { return INIT; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuGetErrorName(int code, const char **text) { *text = "CUDA_ERROR_NAMED"; return 0; }
int cuGetErrorString(int code, const char **text) { *text = "what it means"; return 0; }
int cuStreamBeginCapture_v2(void *stream, int mode) { capturing = 1; return note(mode == 1 ? "begin" : "begin?"); }
int cuStreamEndCapture(void *stream, void **graph) { *graph = (void *)77; capturing = 0; note("end"); return END; }
int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long flags) {
    *made = (void *)88; return note(graph == (void *)77 && flags == 0 ? "instantiate" : "instantiate?"); }
int cuGraphLaunch(void *made, void *stream) { return note(made == (void *)88 ? "launch" : "launch?"); }
int cuGraphDestroy(void *graph) { return note(graph == (void *)77 ? "destroy" : "destroy?"); }
int cuGraphExecDestroy(void *made) { return note(made == (void *)88 ? "destroy-made" : "destroy-made?"); }
int cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
static int priority;
int cuStreamSetAttribute(void *stream, int name, const int *value) {
    if (name != 8) return 1;
    priority = *value;
    return SET;
}
int cuPointerGetAttribute(unsigned *value, int name, unsigned long long address) {
    if (address == 0x1000) return 1;  /* pageable memory is unknown to a driver */
    *value = name == 2 ? (address == 0x2000 ? 1 : 2) : 99;  /* host, else device */
    return 0;
}
int cuStreamGetPriority(void *stream, int *value) { *value = priority; return 0; }
"""


def build_driver(
    folder: Path, *, init: int = 0, version: int = 13000, count: int = 1, end: int = 0, set_priority: int = 0
) -> Path:
    """The library, in `folder`; the numbers are what cuInit and the others answer. Skips without a C compiler."""
    compiler = shutil.which('gcc') or shutil.which('cc')
    if compiler is None:
        pytest.skip('no C compiler to build the stand-in driver with')
    codes = {'INIT': init, 'VERSION': version, 'COUNT': count, 'END': end, 'SET': set_priority}
    source, library = folder / 'driver.c', folder / 'libdriver.so'
    source.write_text(SOURCE, encoding='utf-8')
    options = [f'-D{name}={value}' for name, value in codes.items()]
    subprocess.run([compiler, '-shared', '-fPIC', *options, '-o', str(library), str(source)], check=True)
    return library


def calls(library: Path) -> list[str]:
    """What was called so far, in order."""
    driver = ctypes.CDLL(str(library))
    driver.calls.restype = ctypes.c_char_p
    return driver.calls().decode().split()
