# SPDX-License-Identifier: Apache-2.0
"""The generated files: up to date, complete, and loadable by ROS."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from isaac_inference.cli.docs import NODES, generated, node_name
from isaac_inference.cli.main import main
from isaac_inference.nodes.params_file import node_section
from isaac_inference.runtime.compat import parameter_overrides
from isaac_inference.runtime.parameters import build, flatten, specs

ROOT = Path(__file__).resolve().parents[2]
YAML = ROOT / 'config' / 'perception.yaml'


@pytest.mark.parametrize('path', ['docs/parameters.md', 'config/perception.yaml'])
def test_the_committed_file_is_what_the_schemas_say(path):
    assert (ROOT / path).read_text(encoding='utf-8') == generated()[path], 'run `make docs`'


def test_the_command_writes_both_files(tmp_path, capsys):
    assert main(['docs', '--root', str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [f'wrote {path}' for path in generated()]
    for path, text in generated().items():
        assert (tmp_path / path).read_text(encoding='utf-8') == text


@pytest.mark.parametrize('node', NODES, ids=node_name)
def test_the_tables_have_every_parameter_once(node):
    text = generated()['docs/parameters.md']
    section = text.split(f'## {node.__name__} ')[1].split('\n## ')[0]
    for spec in specs(node.Parameters):
        assert section.count(f'\n| `{spec.name}` |') == 1
        assert spec.info.description in section


def test_no_description_breaks_a_table():
    for node in NODES:
        for spec in specs(node.Parameters):
            assert '|' not in spec.info.description + spec.expected()
            assert spec.info.description.endswith('.')


def test_the_yaml_file_has_a_section_for_every_node():
    assert list(yaml.safe_load(generated()['config/perception.yaml'])) == [f'/**/{node_name(node)}' for node in NODES]


@pytest.mark.parametrize('node', NODES, ids=node_name)
def test_the_yaml_file_holds_the_defaults(node):
    assert build(node.Parameters, node_section(YAML, f'/front/{node_name(node)}')) == node.Parameters()


@pytest.mark.parametrize('namespace', ['', '/front/left'])
@pytest.mark.parametrize('node', NODES, ids=node_name)
def test_ros_loads_the_yaml_file_into_the_defaults(ros, node, namespace):
    made = node(node_name(node), namespace=namespace, cli_args=['--ros-args', '--params-file', str(YAML)])
    expected = flatten(node.Parameters())
    given = parameter_overrides(made)
    values = {name: made.get_parameter(name).value for name in expected}
    made.destroy_node()
    assert set(given) == {name for name, value in expected.items() if value != []}
    assert build(node.Parameters, values) == node.Parameters()
