# SPDX-License-Identifier: Apache-2.0
"""One node's section of a ROS parameter file: wildcards, precedence, files that are none."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.params_file import ParamsFile


@pytest.fixture
def section(tmp_path):
    """The parameters that a text holds for a node."""
    path = tmp_path / 'parameters.yaml'

    def read(text, full_name):
        path.write_text(text, encoding='utf-8')
        return ParamsFile(path).node_section(full_name)

    return read


def one(pattern, value=1):
    return f'{pattern}:\n  ros__parameters:\n    x: {value}\n'


@pytest.mark.parametrize(
    ('pattern', 'full_name', 'matches'),
    [
        ('/**', '/detection', True),
        ('/**', '/a/b/detection', True),
        ('/**/detection', '/detection', True),
        ('/**/detection', '/front/detection', True),
        ('/**/detection', '/a/b/detection', True),
        ('/**/detection', '/front/detection2', False),
        ('/**/detection', '/front/my_detection', False),
        ('/*/detection', '/front/detection', True),
        ('/*/detection', '/detection', False),
        ('/*/detection', '/a/b/detection', False),
        ('/front/**', '/front/detection', True),
        ('/front/**', '/front/a/detection', True),
        ('/front/**', '/rear/detection', False),
        ('/front/*', '/front/detection', True),
        ('/front/*', '/front/a/detection', False),
        ('/front/detection', '/front/detection', True),
        ('/front/detection', '/detection', False),
        ('detection', '/detection', True),
        ('detection', '/front/detection', False),
        ('/front.detection', '/frontXdetection', False),
    ],
)
def test_a_section_counts_for_the_nodes_that_its_name_matches(section, pattern, full_name, matches):
    assert section(one(f'"{pattern}"'), full_name) == ({'x': 1} if matches else {})


@pytest.mark.parametrize('stronger', [True, False])
@pytest.mark.parametrize(
    ('weak', 'strong'),
    [
        ('/**', '/**/detection'),
        ('/**', '/front/**'),
        ('/**/detection', '/front/detection'),
        ('/front/**', '/front/detection'),
        ('/*/detection', '/front/detection'),
        ('/**', '/front/detection'),
    ],
)
def test_the_more_exact_section_wins_wherever_it_stands(section, weak, strong, stronger):
    sections = [one(f'"{weak}"', 'weak'), one(f'"{strong}"', 'strong')]
    assert section(''.join(sections if stronger else reversed(sections)), '/front/detection') == {'x': 'strong'}


def test_sections_add_up(section):
    text = '/**:\n  ros__parameters: {a: 1, b: 1}\n/**/n:\n  ros__parameters: {b: 2, c: 2}\n'
    assert section(text, '/n') == {'a': 1, 'b': 2, 'c': 2}


def test_names_of_nodes_may_be_nested(section):
    text = 'front:\n  detection:\n    ros__parameters: {x: 1}\n  other:\n    ros__parameters: {x: 2}\n'
    assert section(text, '/front/detection') == {'x': 1}


def test_nested_parameters_get_dotted_names(section):
    text = '/n:\n  ros__parameters:\n    image_qos: {depth: 2, deep: {er: 1}}\n    a.b: 3\n    7: x\n'
    assert section(text, '/n') == {'image_qos.depth': 2, 'image_qos.deep.er': 1, 'a.b': 3, '7': 'x'}


def test_values_keep_their_types(section):
    text = '/n:\n  ros__parameters: {a: 1, b: 1.0, c: "1", d: true, e: [x, y], f: []}\n'
    assert section(text, '/n') == {'a': 1, 'b': 1.0, 'c': '1', 'd': True, 'e': ['x', 'y'], 'f': []}


def test_an_empty_section_holds_nothing(section):
    assert section('/n:\n  ros__parameters:\n', '/n') == {}


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('', 'no section with ros__parameters, expected "/\\*\\*/NODE:"'),
        ('- a\n- b\n', 'no section with ros__parameters'),
        ('detection:\n  x: 1\n', 'no section with ros__parameters'),
        ('a: [', 'expected a YAML file like config/perception.yaml'),
        ('\x00', 'expected a YAML file like config/perception.yaml'),
        ('/n:\n  ros__parameters: [1, 2]\n', r'section /n: got \[1, 2\] below ros__parameters'),
        ('/n:\n  ros__parameters: x\n', "section /n: got 'x' below ros__parameters"),
        ('/n:\n  ros__parameters:\n    model:\n    q: {d: }\n', r'no value for model, q\.d of /n; give one, or remove'),
    ],
)
def test_a_file_that_is_no_parameter_file_is_an_error(section, text, says):
    with pytest.raises(ConfigError, match=f'parameter file .*parameters.yaml: (.|\n)*{says}'):
        section(text, '/n')


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r'parameter file .*none\.yaml: .*No such file.*expected a YAML file'):
        ParamsFile(tmp_path / 'none.yaml')


def test_a_model_instead_of_a_file_of_text_is_an_error(tmp_path):
    (tmp_path / 'm.onnx').write_bytes(b'\xff\xfe\x80\x00')
    with pytest.raises(ConfigError, match='expected a YAML file like config/perception.yaml'):
        ParamsFile(tmp_path / 'm.onnx')


STARTED = ['/robot1/preprocess', '/robot1/detection']


@pytest.mark.parametrize(
    ('pattern', 'nearest'),
    [
        ('/detection', '/robot1/detection'),
        ('detection', '/robot1/detection'),
        ('/robot2/detection', '/robot1/detection'),
        ('/robot/detection', '/robot1/detection'),
        ('/*/a/detection', '/robot1/detection'),
        ('/**/detecton', '/robot1/detection'),
        ('/robot1/pre_process', '/robot1/preprocess'),
        ('/camera', '/robot1/'),
    ],
)
def test_a_section_that_no_node_takes_is_named_with_the_nearest_node(tmp_path, pattern, nearest):
    path = tmp_path / 'parameters.yaml'
    path.write_text(one(f'"{pattern}"') + one('/robot1/preprocess'), encoding='utf-8')
    [sentence] = ParamsFile(path).unused(STARTED, ['camera', 'detection', 'preprocess'])
    pattern = pattern if pattern.startswith('/') else f'/{pattern}'
    assert sentence.startswith(f'parameter file {path}: section {pattern} applies to no node that is started here')
    assert f'nearest is {nearest}' in sentence


@pytest.mark.parametrize(
    'pattern', ['/**', '/**/detection', '/robot1/*', '/**/camera', '/robot1/camera', '/**/nav_server']
)
def test_a_section_that_is_used_or_could_be_or_is_another_package_s_is_not_named(tmp_path, pattern):
    path = tmp_path / 'parameters.yaml'
    path.write_text(one(f'"{pattern}"'), encoding='utf-8')
    assert ParamsFile(path).unused(STARTED, ['camera', 'detection', 'preprocess']) == []
