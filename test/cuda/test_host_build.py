# SPDX-License-Identifier: Apache-2.0
"""The stand-in for CUDA does what CUDA does: or tests with it would say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.host_build import HostKernels, why_no_compiler

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())

SOURCE = r"""
extern "C" __global__ void place(int *out, int width) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < width) out[y * width + x] = 100 * y + x;
}
extern "C" __global__ void __launch_bounds__(256) block_sum(const float *in, float *out, int *order) {
    __shared__ float part[256];
    int i = threadIdx.x;
    part[i] = in[blockIdx.x * blockDim.x + i];
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (i < half) part[i] += part[i + half];
    }
    if (i == 0) { out[blockIdx.x] = part[0]; order[blockIdx.x] = atomicAdd(order + gridDim.x, 1); }
}
extern "C" __global__ void warp(unsigned *votes, int *sums, float *seconds) {
    int lane = threadIdx.x % 32, sum = threadIdx.x;
    unsigned vote = __ballot_sync(0xffffffffu, threadIdx.x % 3 == 0);
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    float second = __shfl_sync(0xffffffffu, 0.5f * threadIdx.x, 2);
    if (lane == 0) { votes[threadIdx.x / 32] = vote; sums[threadIdx.x / 32] = sum; seconds[threadIdx.x / 32] = second; }
}
extern "C" __global__ void stuck(int *out) {
    if (threadIdx.x == 0) __syncwarp(); else __syncthreads();
    out[0] = 1;
}
extern "C" __global__ void scalars(double a, float b, long long c, unsigned char d, double *out) {
    *out = a + b + c + d;
}
extern "C" __global__ void rubbish(int *out) { __shared__ int left; out[blockIdx.x] = left; left = 7; }
"""


@pytest.fixture(scope='module')
def kernels() -> HostKernels:
    return HostKernels(SOURCE, 'sample')


def test_a_grid_reaches_every_place_once(kernels: HostKernels) -> None:
    out = np.full((6, 10), -1, np.int32)
    kernels.function('place').run((3, 3), (4, 2), out, np.int32(10))
    np.testing.assert_array_equal(out, 100 * np.arange(6)[:, None] + np.arange(10))


@pytest.mark.parametrize('backwards', [False, True])
def test_barriers_and_the_order_of_blocks(kernels: HostKernels, backwards: bool) -> None:
    values = np.arange(1024, dtype=np.float32)
    out, order = np.zeros(4, np.float32), np.zeros(5, np.int32)
    kernels.function('block_sum').run((4,), (256,), values, out, order, backwards=backwards)
    np.testing.assert_array_equal(out, values.reshape(4, 256).sum(axis=1))
    assert order.tolist() == ([3, 2, 1, 0, 4] if backwards else [0, 1, 2, 3, 4])


@pytest.mark.parametrize('backwards', [False, True])
def test_warp_operations(kernels: HostKernels, backwards: bool) -> None:
    votes, sums, seconds = np.zeros(2, np.uint32), np.zeros(2, np.int32), np.zeros(2, np.float32)
    kernels.function('warp').run((1,), (64,), votes, sums, seconds, backwards=backwards)
    lanes = np.arange(64).reshape(2, 32)
    assert votes.tolist() == ((lanes % 3 == 0) << np.arange(32)).sum(axis=1).tolist()
    assert sums.tolist() == lanes.sum(axis=1).tolist()
    assert seconds.tolist() == [1.0, 17.0]


def test_a_barrier_that_not_all_reach_is_an_error_and_the_next_run_works(kernels: HostKernels) -> None:
    with pytest.raises(RuntimeError, match='stuck: threads wait'):
        kernels.function('stuck').run((1,), (32,), np.zeros(1, np.int32))
    test_warp_operations(kernels, False)


def test_scalars_of_every_size(kernels: HostKernels) -> None:
    out = np.zeros(1)
    kernels.function('scalars').run((1,), (1,), np.float64(0.5), np.float32(0.25), np.int64(2**40), np.uint8(7), out)
    assert out[0] == 2**40 + 7.75


def test_shared_memory_starts_as_rubbish(kernels: HostKernels) -> None:
    out = np.zeros(3, np.int32)
    kernels.function('rubbish').run((3,), (1,), out)
    assert not {0, 7} & set(out.tolist())


@pytest.mark.parametrize(
    'args',
    [
        (np.zeros(4, np.int32),),
        (np.zeros(4, np.int32), 4),
        (np.zeros(4, np.int32), np.int64(4)),
        (np.zeros(4, np.int32), np.float32(4)),
        (np.zeros((4, 4), np.int32)[:, 1], np.int32(4)),
        (np.int32(3), np.int32(4)),
    ],
)
def test_arguments_that_do_not_fit_are_refused(kernels: HostKernels, args: tuple) -> None:
    with pytest.raises(TypeError, match='place: '):
        kernels.function('place').run((1,), (4,), *args)
