# SPDX-License-Identifier: Apache-2.0
"""Kernels that say where the fields of CUDA's structs are, so that Python's copies can be held against them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from support.cuda.host_build import HostKernels


def struct_probes(structs: Mapping[str, np.dtype]) -> str:
    """Source to add to a file of kernels: a probe for each of its structs, by the fields that Python's has."""
    probes = []
    for struct, dtype in structs.items():
        places = ', '.join(f'__builtin_offsetof({struct}, {name})' for name in dtype.names or ())
        probes.append(
            f'extern "C" __global__ void probe_{struct}(int *out) {{\n'
            f'    const unsigned long places[] = {{{places}, sizeof({struct})}};\n'
            f'    out[blockIdx.x] = places[blockIdx.x];\n}}\n'
        )
    return '\n'.join(probes)


def assert_same_struct(kernels: HostKernels, struct: str, dtype: np.dtype) -> None:
    """Python's struct has its fields where CUDA's has them, and its size; `kernels` have the probes."""
    names, fields = dtype.names or (), dtype.fields or {}
    places = np.zeros(len(names) + 1, np.int32)
    kernels.function(f'probe_{struct}').run((len(places),), (1,), places)
    assert places.tolist() == [*(fields[name][1] for name in names), dtype.itemsize], struct
