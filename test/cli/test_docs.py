# SPDX-License-Identifier: Apache-2.0
"""The generated files: up to date, complete, and loadable by ROS."""

from __future__ import annotations

import pytest
import yaml
from support.paths import ROOT

from isaac_inference.cli.docs import generated, node_class
from isaac_inference.cli.main import main
from isaac_inference.ros.bringup.graph import PROPOSED
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.bringup.params_file import ParamsFile
from isaac_inference.ros.runtime.compat import parameter_overrides
from isaac_inference.ros.runtime.parameters.schema import build, flatten, specs

YAML = ROOT / 'config' / 'perception.yaml'


@pytest.mark.parametrize('path', ['docs/parameters.md', 'config/perception.yaml'])
def test_the_committed_file_is_what_the_schemas_say(path):
    assert (ROOT / path).read_text(encoding='utf-8') == generated()[path], 'run `make docs`'


def test_the_command_writes_both_files(tmp_path, capsys):
    assert main(['docs', '--root', str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [f'wrote {path}' for path in generated()]
    for path, text in generated().items():
        assert (tmp_path / path).read_text(encoding='utf-8') == text


@pytest.mark.parametrize('name', NODES)
def test_the_tables_have_every_parameter_once(name):
    text = generated()['docs/parameters.md']
    section = text.split(f'## {node_class(name).__name__} ')[1].split('\n## ')[0]
    for spec in specs(node_class(name).Parameters):
        assert section.count(f'\n| `{spec.name}` |') == 1
        assert spec.info.description in section


def test_no_description_breaks_a_table():
    for name in NODES:
        for spec in specs(node_class(name).Parameters):
            assert '|' not in spec.info.description + spec.expected()
            assert spec.info.description.endswith('.')


def test_the_yaml_file_has_a_section_for_every_node():
    assert list(yaml.safe_load(generated()['config/perception.yaml'])) == [f'/**/{name}' for name in NODES]


@pytest.mark.parametrize('name', NODES)
def test_the_yaml_file_holds_the_defaults(name):
    parameters = node_class(name).Parameters
    assert build(parameters, ParamsFile(YAML).node_section(f'/front/{name}')) == parameters()


@pytest.mark.parametrize('namespace', ['', '/front/left'])
@pytest.mark.parametrize('name', NODES)
def test_ros_loads_the_yaml_file_into_the_defaults(ros, name, namespace):
    node = node_class(name)
    made = node(name, namespace=namespace, cli_args=['--ros-args', '--params-file', str(YAML)])
    expected = flatten(node.Parameters())
    given = parameter_overrides(made)
    values = {key: made.get_parameter(key).value for key in expected}
    made.destroy_node()
    assert set(given) == {key for key, value in expected.items() if value != []} - PROPOSED.get(name, frozenset())
    assert build(node.Parameters, values) == node.Parameters()


@pytest.mark.parametrize('name', sorted(PROPOSED.keys() & NODES.keys()))
def test_what_the_graph_proposes_is_named_but_not_said(name):
    section = generated()['config/perception.yaml'].split(f'/**/{name}:')[1].split('\n/**/')[0]
    defaults = flatten(node_class(name).Parameters())
    for parameter in PROPOSED[name]:
        assert f'\n    # {parameter}: {defaults[parameter]}\n' in section
