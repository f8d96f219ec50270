# SPDX-License-Identifier: Apache-2.0
"""The segmentation kernels' file: that compilers take it, and that Python has its structs."""

from __future__ import annotations

import pytest
from support.cuda.host_build import KERNELS, HostKernels, nvcc_errors, why_no_compiler, why_no_nvcc
from support.cuda.struct_probes import assert_same_struct, struct_probes

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
    kernels = HostKernels(_SOURCE.read_text() + struct_probes(_FIELDS), 'segment_and_probes')
    for struct, dtype in _FIELDS.items():
        assert_same_struct(kernels, struct, dtype)
