# SPDX-License-Identifier: Apache-2.0
"""The kernel of masks by itself: structs that Python and two files of CUDA share, and the order of threads."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.host_build import KERNELS, HostKernels, nvcc_errors, why_no_compiler, why_no_nvcc
from support.cuda.struct_probes import assert_same_struct, struct_probes

from isaac_inference.cuda.compile.compiler import options_of
from isaac_inference.stages.detection.gpu_memory import HEADER, ROW
from isaac_inference.stages.detection.masks_gpu import FLAG_MASK, MAPS, MAX_CHANNELS

needs_compiler = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
_FIELDS = {'Header': HEADER, 'Row': ROW, 'Maps': MAPS, 'Axis': MAPS['x']}
_PROBES = """
extern "C" __global__ void probe_limits(int *out) { out[0] = MAX_CHANNELS; out[1] = FLAG_MASK; }
"""


@pytest.fixture(scope='module')
def kernels() -> HostKernels:
    source = (KERNELS / 'masks.cu').read_text() + _PROBES + struct_probes(_FIELDS)
    return HostKernels(source, 'masks_and_probes')


@pytest.mark.skipif(bool(why_no_nvcc()), reason=why_no_nvcc())
@pytest.mark.parametrize('arch', ['sm_75', 'sm_90'])
def test_nvcc_compiles_it(arch: str) -> None:
    assert nvcc_errors(KERNELS / 'masks.cu', arch, '--fmad=false') == ''


def test_it_includes_nothing_and_forbids_contraction() -> None:
    source = (KERNELS / 'masks.cu').read_text()
    assert '#include' not in source
    assert options_of(source) == ('--fmad=false',)


@needs_compiler
@pytest.mark.parametrize('struct', list(_FIELDS))
def test_python_and_cuda_agree_on_structs(kernels: HostKernels, struct: str) -> None:
    assert_same_struct(kernels, struct, _FIELDS[struct])


@needs_compiler
def test_python_and_cuda_agree_on_limits(kernels: HostKernels) -> None:
    limits = np.zeros(2, np.int32)
    kernels.function('probe_limits').run((1,), (1,), limits)
    assert limits.tolist() == [MAX_CHANNELS, FLAG_MASK]


@needs_compiler
def test_what_is_painted_does_not_depend_on_the_order_of_threads(kernels: HostKernels) -> None:
    rng, channels, count, wh = np.random.default_rng(1), 5, 7, (70, 45)
    maps = np.zeros(1, MAPS)
    for axis, size, pixels in (('x', 20, wh[0]), ('y', 12, wh[1])):
        maps[axis][0] = (size / pixels, 0.0, 0, size, size, pixels)
    maps['channels'] = channels
    predictions = rng.normal(size=(count, channels)).astype(np.float32)
    prototypes = rng.normal(size=(channels, 12, 20)).astype(np.float32)
    made = []
    for backwards in (False, True):
        header, rows = np.zeros(1, HEADER), np.zeros(count, ROW)
        header['kept'] = count
        low = np.random.default_rng(2).uniform(0, 40, (count, 2))
        rows['box'] = np.concatenate((low, low + 20), axis=1)
        rows['anchor'] = np.arange(count)
        numbers = np.full(wh[::-1], 0xA5A5, np.uint16)
        kernels.function('paint').run(
            (3, 2), (32, 8), header, rows, predictions, np.int32(0), np.int64(channels), np.int64(1), np.int32(0),
            prototypes, np.int32(0), maps, numbers, backwards=backwards,
        )  # fmt: skip
        made.append((numbers, rows['pixels'].copy(), int(header['flags'][0])))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1], made[1][1])
    assert made[0][2] == made[1][2] == 0
    assert made[0][1].min() > 20
    assert set(np.unique(made[0][0])) <= set(range(count + 1))
