# SPDX-License-Identifier: Apache-2.0
"""What `doctor` says of the GPU, with and without one."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import pytest

from isaac_inference.cli.doctor import command as doctor
from isaac_inference.cli.doctor import gpu as doctor_gpu
from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines.tensorrt import compat
from isaac_inference.store.engine_cache import EngineCache, EngineKey

SUBJECTS = ['NVIDIA driver', 'GPU', 'TensorRT', 'PyCUDA', 'kernel compiler', 'engine cache', 'NVML']


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))


@pytest.fixture
def tensorrt(monkeypatch):
    """Puts a module that only has a version where tensorrt is looked for; None: no module."""

    def put(version):
        module = None
        if version:
            module = types.ModuleType('tensorrt')
            module.__version__, module.__file__ = version, '/usr/lib/python3.12/dist-packages/tensorrt/__init__.py'
            module.__spec__ = importlib.machinery.ModuleSpec('tensorrt', None)
        monkeypatch.setitem(sys.modules, 'tensorrt', module)
        compat.load.cache_clear()

    yield put
    compat.load.cache_clear()


def no_gpu(monkeypatch):
    for name in ('why_no_driver', 'why_no_gpu'):
        monkeypatch.setattr(doctor_gpu, name, lambda: 'no GPU: none is there; buy one')


def test_without_a_gpu_nothing_is_wrong(monkeypatch, tensorrt):
    no_gpu(monkeypatch)
    tensorrt(None)
    monkeypatch.setitem(sys.modules, 'pynvml', None)
    monkeypatch.setattr(doctor_gpu, 'distribution_version', lambda name: '')
    found = {item.subject: item for item in doctor_gpu.check_gpu()}
    assert list(found) == SUBJECTS
    assert not any(item.fatal for item in found.values())
    assert not any('query failed' in item.fact for item in found.values())
    assert found['GPU'].fact == 'no GPU: none is there'
    assert found['GPU'].advice == 'models run on the CPU; to use one: buy one'
    assert found['PyCUDA'].advice == found['NVML'].advice == ''  # nothing to install for a GPU that is not there


def test_what_fails_unexpectedly_is_one_line_and_the_others_are_still_there(monkeypatch):
    def broken():
        raise RuntimeError('the driver fell over')

    monkeypatch.setattr(doctor_gpu, 'why_no_gpu', broken)
    monkeypatch.setattr(doctor_gpu, 'EngineCache', broken)
    found = {item.subject: item for item in doctor_gpu.check_gpu()}
    assert list(found) == SUBJECTS
    assert found['GPU'].fact == 'RuntimeError: the driver fell over'
    assert found['engine cache'].fact == 'query failed: RuntimeError: the driver fell over'
    assert not any(item.fatal for item in found.values())


@pytest.mark.parametrize('version', ['8.6.0', '8.6.2.3', '10.3.0', '10.16.2.10', '11.4.1.5'])
def test_the_versions_that_are_served(tensorrt, version):
    tensorrt(version)
    found = doctor_gpu.tensorrt_finding(has_gpu=True)
    assert found.fact == f'{version} at /usr/lib/python3.12/dist-packages/tensorrt'
    assert (found.advice, found.fatal) == ('', False)


@pytest.mark.parametrize('has_gpu', [True, False])
def test_an_old_tensorrt_is_wrong_where_there_is_a_gpu_for_it(tensorrt, has_gpu):
    tensorrt('8.5.2')
    found = doctor_gpu.tensorrt_finding(has_gpu=has_gpu)
    assert found.fatal == has_gpu
    assert '8.5.2 is too old' in found.fact
    assert 'JetPack 6' in found.advice


def test_a_newer_tensorrt_than_the_known_is_only_told(tensorrt):
    tensorrt('12.0.1')
    found = doctor_gpu.tensorrt_finding(has_gpu=True)
    assert not found.fatal
    assert 'newer than' in found.advice


def test_on_a_desktop_tensorrt_comes_from_pip(monkeypatch, tensorrt, tmp_path):
    monkeypatch.setattr(doctor_gpu, 'JETSON_FILE', tmp_path / 'none')
    tensorrt(None)
    found = doctor_gpu.tensorrt_finding(has_gpu=True)
    assert not found.fatal
    assert 'pip install tensorrt' in found.advice


@pytest.mark.parametrize('installed', [True, False])
def test_on_a_jetson_tensorrt_is_the_system_pythons(monkeypatch, tensorrt, tmp_path, installed):
    monkeypatch.setattr(doctor_gpu, 'JETSON_FILE', tmp_path)
    monkeypatch.setattr(doctor_gpu.Path, 'is_file', lambda path: path == tmp_path)
    monkeypatch.setattr(doctor_gpu, 'SYSTEM_PACKAGES', tmp_path)
    hidden = tmp_path / 'python3.10' / 'dist-packages' / 'tensorrt'
    if installed:
        hidden.mkdir(parents=True)
    tensorrt(None)
    advice = doctor_gpu.tensorrt_finding(has_gpu=True).advice
    assert '/usr/bin/python3' in advice
    assert (str(hidden) in advice and '--system-site-packages' in advice) == installed
    assert ('apt install python3-libnvinfer' in advice) != installed


def test_a_pycuda_that_cannot_be_imported_says_why(monkeypatch):
    monkeypatch.setattr(doctor_gpu, 'distribution_version', lambda name: '2026.1')
    monkeypatch.setitem(sys.modules, 'pycuda.driver', None)
    found = doctor_gpu.pycuda_finding(has_gpu=True)
    assert found.fact.startswith('2026.1, which cannot be imported: ')
    assert 'install it again' in found.advice


def test_nvml_that_does_not_start_is_no_fault(monkeypatch):
    def fails():
        raise OSError('NVML Shared Library Not Found')

    monkeypatch.setitem(sys.modules, 'pynvml', types.SimpleNamespace(nvmlInit=fails))
    found = doctor_gpu.nvml_finding(has_gpu=True)
    assert found.fact == 'not available: NVML Shared Library Not Found'
    assert not found.fatal


def keep_engine(tensorrt_version, size):
    key = EngineKey('cups', 'ab' * 32, 'fp16', {}, {}, tensorrt_version, 'Orin', '8.7')
    EngineCache().store(key, bytes(size), {})


def test_the_engine_cache_is_counted_and_what_no_tensorrt_here_takes_is_named(tensorrt, tmp_path):
    tensorrt('10.3.0')
    empty = doctor_gpu.cache_finding()
    assert empty.fact == f'0 engines, 0.0 MiB at {tmp_path / "isaac_inference" / "engines"}'
    keep_engine('10.3.0', 2**20)
    assert doctor_gpu.cache_finding().fact.startswith('1 engine, 1.0 MiB at ')
    assert doctor_gpu.cache_finding().advice == ''
    keep_engine('8.6.2', 2**21)
    found = doctor_gpu.cache_finding()
    assert found.fact.startswith('2 engines, 3.0 MiB at ')
    assert found.advice.startswith('1 of them was built by another TensorRT than 10.3.0')


def test_a_cache_folder_that_others_may_write_to_is_told_with_the_remedy(tmp_path):
    folder = tmp_path / 'isaac_inference' / 'engines'
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    found = doctor_gpu.cache_finding()
    assert 'mode 777' in found.fact
    assert 'chmod go-w' in found.advice


@pytest.mark.parametrize('has_gpu', [True, False])
def test_no_compiler_is_no_fault_and_told_where_it_matters(monkeypatch, has_gpu):
    monkeypatch.setattr(doctor_gpu, 'find_compiler', lambda architecture: None)
    found = doctor_gpu.compiler_finding(has_gpu=has_gpu)
    assert not found.fatal
    assert ('run on the CPU' in found.advice) == has_gpu


def test_the_compiler_is_shown_with_its_place(monkeypatch):
    chosen = types.SimpleNamespace(identity='nvcc 13.0', path='/opt/cuda/bin/nvcc', architectures=lambda: (90,))
    monkeypatch.setattr(doctor_gpu, 'find_compiler', lambda architecture: chosen)
    assert doctor_gpu.compiler_finding(has_gpu=True).fact == 'nvcc 13.0 at /opt/cuda/bin/nvcc'


@pytest.mark.parametrize(('version', 'told'), [('10.3.0', 'version 10.3.0'), (None, 'installed, version unknown')])
def test_a_backend_without_metadata_is_installed_all_the_same(monkeypatch, version, told):
    backend = types.SimpleNamespace(name='tensorrt', version=version)
    monkeypatch.setattr(doctor, 'available_backends', lambda: (backend,))
    assert [item.fact for item in doctor.check_engines()] == [told]


@pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu())
def test_the_real_gpu():
    found = {item.subject: item for item in doctor_gpu.check_gpu()}
    assert 'compute capability' in found['GPU 0'].fact and 'MiB free' in found['GPU 0'].fact
    assert not any('query failed' in item.fact for item in found.values())
