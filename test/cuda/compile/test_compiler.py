# SPDX-License-Identifier: Apache-2.0
"""Kernels are compiled by what is there, once; with options from the file, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from isaac_inference.cuda.compile import compiler
from isaac_inference.cuda.compile.compiler import compiled, options_of
from isaac_inference.cuda.compile.nvcc import Nvcc, find_nvcc
from isaac_inference.cuda.compile.nvrtc import find_nvrtc
from isaac_inference.errors import DeviceError

KERNEL = """// options: --fmad=false
extern "C" __global__ void twice(float *values, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) values[i] *= 2.0f;
}
"""


class Counting:
    """A compiler that counts and echoes."""

    identity, path = 'counting 1.0', '/usr/bin/counting'

    def __init__(self):
        self.seen = []

    def architectures(self):
        return (80, 90)

    def compile(self, source, name, architecture, options):
        self.seen.append((name, architecture, options))
        return b'image of ' + source.encode()


@pytest.fixture
def counting(monkeypatch):
    made = Counting()
    monkeypatch.setattr(compiler, 'find_compiler', lambda architecture: made)
    return made


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / 'twice.cu'
    path.write_text(KERNEL, encoding='utf-8')
    return path


def real(found):
    return found[0] if found else pytest.skip('this machine has none to compile with')


def test_options_come_from_the_first_comments():
    assert options_of('// SPDX\n// options: --fmad=false -DN=3\n\n// options: -no') == ('--fmad=false', '-DN=3')
    assert options_of('int x;\n// options: --late') == ()
    with pytest.raises(DeviceError, match="'fmad=false'"):
        options_of('// options: fmad=false')


def test_compiled_once_and_again_when_anything_differs(counting, kernel, tmp_path):
    cache = tmp_path / 'cache'
    first = compiled(kernel, (9, 0), cache)
    assert first == b'image of ' + KERNEL.encode()
    assert compiled(kernel, (9, 0), cache) == first and counting.seen == [('twice.cu', 90, ('--fmad=false',))]
    compiled(kernel, (8, 7), cache)
    counting.identity = 'counting 1.1'
    compiled(kernel, (9, 0), cache)
    kernel.write_text(KERNEL + '\n', encoding='utf-8')
    compiled(kernel, (9, 0), cache)
    assert [architecture for _, architecture, _ in counting.seen] == [90, 87, 90, 90]


@pytest.mark.parametrize('damage', [b'', b'ISAACCUBIN1\n', None])
def test_damaged_entries_are_made_anew(counting, kernel, tmp_path, damage):
    good = compiled(kernel, (9, 0), tmp_path / 'cache')
    (entry,) = (tmp_path / 'cache' / 'kernels').glob('*.cubin')
    data = entry.read_bytes()
    entry.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if damage is None else damage)
    assert compiled(kernel, (9, 0), tmp_path / 'cache') == good and len(counting.seen) == 2
    assert compiled(kernel, (9, 0), tmp_path / 'cache') == good and len(counting.seen) == 2


def test_what_was_kept_serves_without_a_compiler(counting, kernel, tmp_path, monkeypatch):
    kept = compiled(kernel, (9, 0), tmp_path / 'cache')
    monkeypatch.setattr(compiler, 'find_compiler', lambda architecture: None)
    assert compiled(kernel, (9, 0), tmp_path / 'cache') == kept
    with pytest.raises(DeviceError, match='no CUDA compiler.*sm_87.*nvcc'):
        compiled(kernel, (8, 7), tmp_path / 'cache')


def test_a_cache_that_cannot_be_used_is_done_without(counting, kernel, tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    assert compiled(kernel, (9, 0), tmp_path / 'file')
    assert 'not cached' in caplog.text


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DeviceError, match='lost.cu'):
        compiled(tmp_path / 'lost.cu', (9, 0))


def test_a_compiler_that_knows_the_device_goes_first(monkeypatch):
    old, new = Counting(), Counting()
    old.architectures = lambda: (70,)
    monkeypatch.setattr(compiler, 'find_nvrtc', lambda: (old,))
    monkeypatch.setattr(compiler, 'find_nvcc', lambda: (new,))
    assert compiler.find_compiler(90) is new
    assert compiler.find_compiler(120) is old
    monkeypatch.setattr(compiler, 'find_nvrtc', tuple)
    monkeypatch.setattr(compiler, 'find_nvcc', tuple)
    assert compiler.find_compiler(90) is None


@pytest.mark.parametrize('find', [find_nvcc, find_nvrtc])
def test_a_real_compiler_makes_a_cubin(find):
    image = real(find()).compile(KERNEL, 'twice.cu', 90, ('--fmad=false',))
    assert image[:4] == b'\x7fELF' and b'twice' in image


@pytest.mark.parametrize('find', [find_nvcc, find_nvrtc])
def test_a_newer_device_gets_ptx(find):
    image = real(find()).compile(KERNEL, 'twice.cu', 999, ())
    assert b'.version' in image and b'twice' in image


@pytest.mark.parametrize('find', [find_nvcc, find_nvrtc])
def test_a_compiler_says_where_it_lies(find):
    found = real(find())
    assert Path(found.path).is_file()
    assert found.identity.split()[0].lower() in found.path


@pytest.mark.parametrize('find', [find_nvcc, find_nvrtc])
def test_an_error_names_the_line(find):
    with pytest.raises(DeviceError, match=r'broken\.cu\(2\)'):
        real(find()).compile('extern "C" __global__ void f() {\n    no_such_thing();\n}\n', 'broken.cu', 90, ())
    with pytest.raises(DeviceError, match='no longer compiles for sm_20'):
        real(find()).compile(KERNEL, 'twice.cu', 20, ())


def test_a_program_that_is_no_compiler_is_an_error():
    with pytest.raises(DeviceError, match='false'):
        Nvcc('false')
