# SPDX-License-Identifier: Apache-2.0
"""The segmentation kernels' file: that compilers take it, and that Python has its structs."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.host_build import KERNELS, HostKernels, nvcc_errors, why_no_compiler, why_no_nvcc

from isaac_inference.cuda.compile.compiler import options_of
from isaac_inference.stages.segmentation.gpu_memory import HEADER, OUTPUT, SCORES, TAP

_FIELDS = {'Header': HEADER, 'Scores': SCORES, 'Tap': TAP, 'Output': OUTPUT}
_SOURCE = KERNELS / 'segment.cu'


@pytest.mark.skipif(bool(why_no_nvcc()), reason=why_no_nvcc())
@pytest.mark.parametrize('arch', ['sm_75', 'sm_90'])
def test_nvcc_compiles_it(arch: str) -> None:
    assert nvcc_errors(_SOURCE, arch, '--fmad=false') == ''


def test_it_includes_nothing_and_forbids_contraction() -> None:
    source = _SOURCE.read_text()
    assert '#include' not in source
    assert options_of(source) == ('--fmad=false',)


@pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
def test_python_and_cuda_agree_on_structs() -> None:
    probes = []
    for struct, dtype in _FIELDS.items():
        places = ', '.join(f'__builtin_offsetof({struct}, {name})' for name in dtype.names or ())
        probes.append(
            f'extern "C" __global__ void probe_{struct}(int *out) {{\n'
            f'    const unsigned long places[] = {{{places}, sizeof({struct})}};\n'
            f'    out[blockIdx.x] = places[blockIdx.x];\n}}\n'
        )
    kernels = HostKernels(_SOURCE.read_text() + '\n'.join(probes), 'segment_and_probes')
    for struct, dtype in _FIELDS.items():
        names = dtype.names or ()
        places = np.zeros(len(names) + 1, np.int32)
        kernels.function(f'probe_{struct}').run((len(places),), (1,), places)
        fields = dtype.fields or {}
        assert places.tolist() == [*(fields[name][1] for name in names), dtype.itemsize], struct
