# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole, and `info` and `doctor`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.onnx_models import write_model
from support.waiting import LIMIT_S

from isaac_inference import __version__
from isaac_inference.cli.doctor import command as doctor
from isaac_inference.cli.doctor.command import Finding
from isaac_inference.cli.main import main
from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES, dds_environment, dds_profile_variable


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / 'cups.onnx', 'yolov8', classes=3)


def said(capsys):
    """What was printed, without line breaks and frames of tables."""
    return ' '.join(capsys.readouterr().out.replace('│', ' ').split())


@pytest.mark.parametrize('program', [['isaac_inference.cli.main'], ['isaac_inference.cli.main', '--version']])
def test_it_runs_as_a_module(program):
    done = subprocess.run([sys.executable, '-m', *program], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == (0 if '--version' in program else 2)
    assert 'Traceback' not in done.stderr


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--version'])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f'isaac_inference {__version__}\n'


@pytest.mark.parametrize('arguments', [[], ['fly'], ['info'], ['run', '--model', 'm.onnx'], ['run', '--source', '0']])
def test_a_wrong_command_line_is_refused_with_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert 'usage: isaac-inference' in capsys.readouterr().err


@pytest.mark.parametrize('command', ['demo', 'run', 'evaluate', 'record', 'replay', 'info', 'doctor', 'docs'])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, '--help'])
    assert ended.value.code == 0
    assert f'isaac-inference {command}' in capsys.readouterr().out


# info


def test_info_prints_the_card_and_where_each_value_came_from(model, capsys):
    assert main(['info', str(model)]) == 0
    text = said(capsys)
    for part in (
        'cups: what the pipeline knows of it',
        'decoder yolov8 shape of output0',
        '96 x 64 px',
        'images: float32 [1, 3, 64, 96]',
        '3: class_0, class_1, class_2',
        'preprocess.mean [0, 0, 0]',
        'nothing names the 3 classes',
    ):
        assert part in text


def test_info_shows_labels_with_brackets_as_they_are(model, capsys):
    model.with_suffix('.yaml').write_text("labels: ['[red]cup', '[/]', box]")
    assert main(['info', str(model)]) == 0
    assert '3: [red]cup, [/], box' in said(capsys)


def test_info_takes_a_card(model, tmp_path, capsys):
    (tmp_path / 'other.yaml').write_text('labels: [cup, can, box]')
    assert main(['info', str(model), '--card', str(tmp_path / 'other.yaml')]) == 0
    assert '3: cup, can, box' in said(capsys)


@pytest.mark.parametrize('content', [None, b'', b'this is no model'])
def test_info_on_a_bad_model_is_one_error(tmp_path, capsys, content):
    path = tmp_path / 'bad.onnx'
    if content is not None:
        path.write_bytes(content)
    assert main(['info', str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith('error: ')
    assert 'bad.onnx' in err
    assert 'Traceback' not in err


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, 'CHECKS', (interrupted,))
    assert main(['doctor']) == 130
    assert capsys.readouterr().err == ''


# doctor

GOOD = Finding('python', '3.12 [x]')
ADVISED = Finding('cv_bridge', 'missing', 'optional')
WRONG = Finding('rclpy', 'ImportError: no', 'source a distribution', fatal=True)


@pytest.mark.parametrize(
    ('findings', 'code', 'verdict'),
    [
        ([GOOD, ADVISED], 0, 'no problems found'),
        ([], 0, 'no problems found'),
        ([GOOD, WRONG], 1, '1 problem found'),
        ([WRONG, ADVISED, WRONG], 1, '2 problems found'),
    ],
)
def test_doctor_exits_non_zero_exactly_where_something_is_wrong(monkeypatch, capsys, findings, code, verdict):
    monkeypatch.setattr(doctor, 'CHECKS', (lambda: iter(findings),))
    assert main(['doctor']) == code
    text = said(capsys)
    assert verdict in text
    for finding in findings:
        assert finding.subject in text and finding.fact in text and finding.advice in text
    assert ('wrong: source a distribution' in text) == (WRONG in findings)


def test_doctor_finds_this_machine_fit_for_the_tests(monkeypatch, capsys):
    for name, value in dds_environment({}).items():
        monkeypatch.setenv(name, value)
    assert main(['doctor']) == 0
    text = said(capsys)
    for subject in (
        'python',
        'rclpy',
        'middleware',
        'vision_msgs.msg',
        'Fast DDS profile',
        'cv2',
        'engine onnxruntime',
        'GPU',
        'TensorRT',
    ):
        assert subject in text


def fatal(findings):
    return [finding.subject for finding in findings if finding.fatal]


def test_a_missing_module_is_fatal_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)
    [found] = [item for item in doctor.check_vision() if item.subject == 'cv2']
    assert found.fatal
    assert 'apt install python3-opencv' in found.advice


def test_a_missing_optional_module_is_not_fatal(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    assert fatal(doctor.check_vision()) == []


def test_a_missing_dds_profile_is_advice(monkeypatch):
    for name in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    [found] = doctor.check_dds_profile()
    assert not found.fatal
    assert f'export {dds_profile_variable()}' in found.advice


@pytest.mark.parametrize('content', [None, '<profiles>'])
def test_a_dds_profile_that_cannot_be_read_is_fatal(monkeypatch, tmp_path, content):
    path = tmp_path / 'profile.xml'
    if content:
        path.write_text(content)
    monkeypatch.setenv(DDS_PROFILE_VARIABLES[0], str(path))
    monkeypatch.delenv(DDS_PROFILE_VARIABLES[1], raising=False)
    [found] = doctor.check_dds_profile()
    assert found.fatal
    assert found.fact == str(path)
    assert 'cannot be read' in found.advice


def test_no_engine_is_fatal(monkeypatch):
    monkeypatch.setattr(doctor, 'available_backends', list)
    assert fatal(doctor.check_engines()) == ['engines']


def test_the_wrong_interpreter_for_a_sourced_distribution_is_fatal(monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    monkeypatch.setitem(doctor.DISTRO_PYTHON, 'humble', (2, 7))
    monkeypatch.setattr(doctor.Path, 'is_dir', lambda path: str(path) == os.path.join('/opt/ros', 'humble'))
    assert fatal(doctor.check_python()) == ['python']
    monkeypatch.setitem(doctor.DISTRO_PYTHON, 'humble', sys.version_info[:2])
    assert fatal(doctor.check_python()) == []
