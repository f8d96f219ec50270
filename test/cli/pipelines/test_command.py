# SPDX-License-Identifier: Apache-2.0
"""isaac-inference pipelines, the shipped files of pipelines, and the page that shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from support.waiting import LIMIT_S

from isaac_inference.cli.main import main
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.bringup.pipelines.of_file import BESIDE
from isaac_inference.ros.nodes.inference.node import InferenceParameters
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build, specs
from isaac_inference.serving.pipelines import read_pipelines

FILES = sorted((ROOT / 'config' / 'pipelines').glob('*.yaml'))
PAGE = ROOT / 'docs' / 'pipelines.md'
DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
HAS_STREAMS = 'streams' in {spec.name for spec in specs(InferenceParameters)}


def ident(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize('path', FILES, ids=ident)
def test_the_page_shows_the_shipped_file(path):
    shown = re.findall(r'```yaml\n(.*?)```', PAGE.read_text(encoding='utf-8'), flags=re.DOTALL)
    assert path.read_text(encoding='utf-8') in shown
    assert len(shown) == len(FILES)


def test_the_page_names_every_key_of_a_pipeline():
    from isaac_inference.serving.pipelines.read import _PIPELINE_KEYS

    rows = ' '.join(re.findall(r'^\| (`.*?) \|', PAGE.read_text(encoding='utf-8'), flags=re.MULTILINE))
    assert set(re.findall(r'`(\w+)`', rows)) == set(_PIPELINE_KEYS)


@pytest.mark.skipif(not HAS_STREAMS, reason='the inference node has no streams yet')
@pytest.mark.parametrize('path', FILES, ids=ident)
def test_every_node_of_a_shipped_file_takes_its_parameters(path):
    plan = launch_plan({**DEFAULTS, 'pipelines': str(path), 'simulate': 'true'})
    for spec in plan.nodes:
        build(load_class(spec.package, spec.plugin).Parameters, spec.parameters)


def test_the_table_shows_what_a_parameter_file_makes_of_it(tmp_path, capsys):
    """A priority that is shown and does not hold is worse than none."""
    path = tmp_path / 'mine.yaml'
    path.write_text('/**/inference:\n  ros__parameters: {priority: 2, onnxruntime: {threads: 7}}\n')
    assert main(['pipelines', str(FILES[0]), '--params-file', str(path)]) == 0
    shown = capsys.readouterr().out
    assert '2 high' in shown.replace('\n', ' ') and '1 normal' not in shown and ' 7 ' in shown


@pytest.mark.parametrize('path', FILES, ids=ident)
def test_the_table_shows_what_is_started(path, capsys):
    assert main(['pipelines', str(path)]) == 0
    shown = capsys.readouterr().out
    setup = read_pipelines(path)
    for pipeline in setup.pipelines:
        for text in (pipeline.name, Path(pipeline.model).name, f'/{pipeline.name}/{pipeline.cameras[0]}/detections'):
            assert text in shown
    assert ('(shared)' in shown) == (path.stem == 'priorities')


def test_all_faults_are_said_and_the_exit_status_is_not_zero(tmp_path, capsys):
    path = tmp_path / 'wrong.yaml'
    path.write_text('cameras: {front: {}}\npipelines:\n- {name: a, model: demo, cameras: [frnt], priority: 7}\n')
    assert main(['pipelines', str(path)]) == 1
    said = capsys.readouterr().err
    assert f'pipelines {path}: pipelines[0] (a).priority: got 7, expected a whole number in 0..3' in said
    assert f"pipelines {path}: pipelines[0] (a).cameras: got 'frnt', a stream without a camera" in said


def test_a_parameter_that_no_node_has_is_said_before_anything_starts(tmp_path, capsys):
    path = tmp_path / 'wrong.yaml'
    path.write_text('cameras: {front: {}}\npipelines:\n- {name: a, model: demo, params: {detection: {treshold: 1}}}\n')
    assert main(['pipelines', str(path), '--start']) == 1
    assert 'params.detection: parameter treshold: no such parameter' in capsys.readouterr().err


@pytest.mark.parametrize('given', [['--results', '3'], ['--start', '--results', '-1']], ids=' '.join)
def test_results_of_nothing_that_is_started_are_refused(given, capsys):
    assert main(['pipelines', str(FILES[0]), *given]) == 1
    assert 'expected a number above 0, together with --start' in capsys.readouterr().err


def test_what_may_be_given_beside_a_file_are_launch_arguments():
    assert set(BESIDE) <= set(DEFAULTS)


@pytest.mark.system
@pytest.mark.skipif(not HAS_STREAMS, reason='the inference node has no streams yet')
@pytest.mark.parametrize('path', FILES, ids=ident)
def test_a_shipped_file_runs_on_simulated_cameras(path):
    """As a newcomer starts it from a fresh clone: every camera of every pipeline has results."""
    command = ['pipelines', str(path), '--simulate', '--start', '--results', '3', '--namespace', f'/try_{path.stem}']
    program = [sys.executable, '-m', 'isaac_inference.cli.main', *command]
    done = subprocess.run(program, capture_output=True, text=True, timeout=3 * LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'all nodes are active' in done.stdout
