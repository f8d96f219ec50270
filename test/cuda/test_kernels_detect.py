# SPDX-License-Identifier: Apache-2.0
"""The detection kernels one by one: number formats, structs, and that the order of threads does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.host_build import KERNELS, HostKernels, nvcc_errors, why_no_compiler, why_no_nvcc
from support.cuda.struct_probes import assert_same_struct, struct_probes

from isaac_inference.cuda.compile.compiler import options_of
from isaac_inference.stages.detection.gpu_memory import FRAME, HEADER, MAX_TOP_K, ROW

needs_compiler = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
_FIELDS = {'Frame': FRAME, 'Header': HEADER, 'Row': ROW}

# What the file has besides kernels, made callable.
_PROBES = r"""
extern "C" __global__ void probe_half(const unsigned short *in, float *out) {
    out[blockIdx.x] = to_float(in[blockIdx.x]);
}
extern "C" __global__ void probe_key(const float *scores, const int *anchors, Word *keys, float *back,
                                     int *anchors_back) {
    const int i = blockIdx.x;
    keys[i] = key_of(scores[i], anchors[i]);
    back[i] = score_of(keys[i]);
    anchors_back[i] = anchor_of(keys[i]);
}
extern "C" __global__ void probe_words(int *out) { out[0] = MAX_WORDS; }
"""


@pytest.fixture(scope='module')
def kernels() -> HostKernels:
    source = (KERNELS / 'detect.cu').read_text() + _PROBES + struct_probes(_FIELDS)
    return HostKernels(source, 'detect_and_probes')


@pytest.mark.skipif(bool(why_no_nvcc()), reason=why_no_nvcc())
@pytest.mark.parametrize('arch', ['sm_75', 'sm_90'])
def test_nvcc_compiles_it(arch: str) -> None:
    assert nvcc_errors(KERNELS / 'detect.cu', arch, '--fmad=false') == ''


def test_it_includes_nothing_and_forbids_contraction() -> None:
    source = (KERNELS / 'detect.cu').read_text()
    assert '#include' not in source
    assert options_of(source) == ('--fmad=false',)


@needs_compiler
@pytest.mark.parametrize('struct', list(_FIELDS))
def test_python_and_cuda_agree_on_structs(kernels: HostKernels, struct: str) -> None:
    assert_same_struct(kernels, struct, _FIELDS[struct])


@needs_compiler
def test_the_scan_has_room_for_the_highest_top_k(kernels: HostKernels) -> None:
    words = np.zeros(1, np.int32)
    kernels.function('probe_words').run((1,), (1,), words)
    assert 64 * words[0] == MAX_TOP_K


@needs_compiler
def test_every_half_is_read_exactly(kernels: HostKernels) -> None:
    halves = np.arange(2**16, dtype=np.uint16)
    out = np.zeros(2**16, np.float32)
    kernels.function('probe_half').run((2**16,), (1,), halves, out)
    expected = halves.view(np.float16).astype(np.float32)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(out.view(np.uint32)[is_number], expected.view(np.uint32)[is_number])
    assert np.isnan(out[~is_number]).all()


@needs_compiler
def test_keys_sort_by_score_and_then_by_anchor(kernels: HostKernels) -> None:
    values = [0.0, -0.0, 1e-45, 0.25, 0.25, 1.0, 3.4e38, -1e-45, -0.5, -3.4e38, 0.25]
    scores, anchors = np.array(values, np.float32), np.array([7, 3, 1, 9, 2, 5, 0, 4, 6, 8, 2**31 - 1], np.int32)
    keys, back, anchors_back = np.zeros(11, np.uint64), np.zeros(11, np.float32), np.zeros(11, np.int32)
    kernels.function('probe_key').run((11,), (1,), scores, anchors, keys, back, anchors_back)
    assert np.argsort(keys)[::-1].tolist() == np.lexsort((anchors, -scores)).tolist()
    np.testing.assert_array_equal(back, scores)
    np.testing.assert_array_equal(anchors_back, anchors)


@needs_compiler
@pytest.mark.parametrize('count', [0, 1, 31, 33, 300, 2048, 2100])
def test_rank_sorts_whatever_the_order_of_arrival(kernels: HostKernels, count: int) -> None:
    rng, top_k, room = np.random.default_rng(count), 50, max(count, 1) + 40
    frame = np.zeros(1, FRAME)
    frame['candidates'], frame['top_k'] = count, top_k
    keys = np.full(room, 2**63, np.uint64)  # behind the candidates lies rubbish
    keys[:count] = rng.permutation(2**40 + np.arange(count)).astype(np.uint64)
    boxes, classes = rng.random((room, 4)).astype(np.float32), np.arange(room, dtype=np.int32)
    order = np.argsort(keys[:count])[::-1][:top_k]
    for backwards in (False, True):
        ranked_keys, ranked_classes = np.zeros(top_k, np.uint64), np.full(top_k, -1, np.int32)
        ranked_boxes = np.zeros((top_k, 4), np.float32)
        ranked = (ranked_keys, ranked_boxes, ranked_classes)
        grid = (-(-room // 32),)
        kernels.function('rank').run(grid, (256,), frame, keys, boxes, classes, *ranked, backwards=backwards)
        np.testing.assert_array_equal(ranked_keys[: len(order)], keys[order])
        np.testing.assert_array_equal(ranked_boxes[: len(order)], boxes[order])
        assert ranked_classes.tolist() == [*order.tolist(), *[-1] * (top_k - len(order))]


@needs_compiler
def test_the_order_of_threads_changes_the_list_but_not_its_members(kernels: HostKernels) -> None:
    rng, anchors, classes = np.random.default_rng(3), 200, 3
    data = rng.random((4 + classes, anchors)).astype(np.float32)
    lists = []
    for backwards in (False, True):
        frame = np.zeros(1, FRAME)
        frame['min_threshold'] = 0.8
        upload = np.concatenate((frame.view(np.uint8), np.full(classes, 0.8, np.float32).view(np.uint8)))
        keys, boxes = np.zeros(anchors, np.uint64), np.zeros((anchors, 4), np.float32)
        class_ids = np.zeros(anchors, np.int32)
        kernels.function('decode_yolov8').run(
            (-(-anchors // 32),),
            (256,),
            *(data, np.int32(0), np.int64(1), np.int64(anchors), np.int32(anchors), np.int32(classes), np.int32(0)),
            *(upload, keys, boxes, class_ids),
            backwards=backwards,
        )
        lists.append(keys[: upload[: FRAME.itemsize].view(FRAME)['candidates'][0]])
    scores = data[4:].max(axis=0)
    assert len(lists[0]) == (scores >= np.float32(0.8)).sum()
    assert lists[0].tolist() != lists[1].tolist()
    assert sorted(lists[0].tolist()) == sorted(lists[1].tolist())


@needs_compiler
@pytest.mark.parametrize('count', [1, 63, 64, 65, 200])
@pytest.mark.parametrize('limit', [1, 64, 300])
def test_finish_scans_greedily(kernels: HostKernels, count: int, limit: int) -> None:
    rng, words = np.random.default_rng(count), 4
    matrix = np.triu(rng.random((count, count)) < 0.02, 1)
    bits = np.zeros((count, 64 * words), np.uint8)
    bits[:, :count] = matrix
    drops = np.packbits(bits, axis=1, bitorder='little').view(np.uint64)
    for i in range(count):  # the lower triangle is never written
        drops[i, : i // 64] = 0xA5A5A5A5A5A5A5A5
    frame = np.zeros(1, FRAME)
    frame['candidates'], frame['top_k'], frame['max_detections'], frame['flags'] = count + 9, count, limit, 2
    frame['scale_xy'], frame['source_wh'] = 1.0, 1e9
    keys = (np.uint64(0xBF800000) << np.uint64(32)) | (np.uint64(2**32 - 1) - np.arange(count, dtype=np.uint64))
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    kept, header, rows = np.zeros(limit, np.int32), np.zeros(1, HEADER), np.zeros(limit, ROW)
    kernels.function('finish').run(
        (1,),
        (512,),
        *(frame, keys, boxes, np.arange(count, dtype=np.int32), np.int32(words), drops, kept, header, rows),
        *(0, 0, np.int32(0), np.int64(0), np.int64(0), np.int32(0), np.int32(0), np.int32(0)),
    )
    expected: list[int] = []
    for i in range(count):
        if len(expected) < limit and not matrix[expected, i].any():
            expected.append(i)
    assert header['kept'][0] == len(expected)
    assert (header['flags'][0], header['candidates'][0]) == (2, count + 9)
    assert rows['anchor'][: len(expected)].tolist() == expected
    assert rows['class_id'][: len(expected)].tolist() == expected
    assert (rows['score'][: len(expected)] == 1.0).all()
    np.testing.assert_array_equal(rows['box'][: len(expected)], boxes[expected])
