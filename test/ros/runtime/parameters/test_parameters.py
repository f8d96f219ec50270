# SPDX-License-Identifier: Apache-2.0
"""The parameter schema: types, ranges, nesting, and what a wrong value is told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.parameters.schema import build, flatten, group, param, specs


class Mode(str, Enum):
    FAST = 'fast'
    EXACT = 'exact'


@dataclass(frozen=True)
class Inner:
    depth: int = param(1, 'Messages kept.', minimum=1, maximum=10)
    mode: Mode = param(Mode.FAST, 'How.')


@dataclass(frozen=True)
class Schema:
    on: bool = param(True, 'A switch.')
    count: int = param(3, 'A number.', minimum=0)
    ratio: float = param(0.5, 'A share.', unit='s', minimum=0.0, maximum=1.0, live=True)
    below: float = param(0.0, 'At most.', maximum=2.5)
    name: str = param('x', 'A text.')
    mode: Mode = param(Mode.EXACT, 'A choice.')
    names: tuple[str, ...] = param(('a',), 'Texts.')
    numbers: tuple[float, ...] = param((), 'Numbers.', minimum=0.0)
    outer: Inner = group(Inner(depth=7), 'The queue.')
    private: int = 9  # no parameter


CHANGED = Schema(
    on=False,
    count=0,
    ratio=1.0,
    below=-4.0,
    name='',
    mode=Mode.FAST,
    names=('b', 'c'),
    numbers=(0.0, 2.5),
    outer=Inner(depth=2, mode=Mode.EXACT),
)
FLAT = {
    'on': False,
    'count': 0,
    'ratio': 1.0,
    'below': -4.0,
    'name': '',
    'mode': 'fast',
    'names': ['b', 'c'],
    'numbers': [0.0, 2.5],
    'outer.depth': 2,
    'outer.mode': 'exact',
}


def only(**values):
    """Schema values whose names have a dot instead of two underscores."""
    return build(Schema, {name.replace('__', '.'): value for name, value in values.items()})


def test_a_schema_flattens_to_dotted_names_and_ros_types():
    assert flatten(CHANGED) == FLAT


@pytest.mark.parametrize('instance', [Schema(), CHANGED])
def test_build_is_the_inverse_of_flatten(instance):
    assert build(Schema, flatten(instance)) == instance


def test_what_is_not_given_keeps_its_default():
    assert build(Schema, {}) == Schema()
    assert only(outer__mode='exact').outer == Inner(depth=7, mode=Mode.EXACT)


def test_the_group_s_own_default_counts_not_its_class_s():
    assert flatten(Schema())['outer.depth'] == 7


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('ratio', 1, 1.0),
        ('numbers', [1, 2.5], (1.0, 2.5)),
        ('names', ('b',), ('b',)),
        ('names', [], ()),
        ('mode', 'fast', Mode.FAST),
        ('mode', Mode.FAST, Mode.FAST),
        ('count', 2**62, 2**62),
    ],
)
def test_a_value_of_a_fitting_type_is_taken(name, value, expected):
    got = getattr(build(Schema, {name: value}), name)
    assert got == expected
    assert type(got) is type(expected)
    assert not isinstance(got, tuple) or [type(item) for item in got] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('on', 1, 'true or false'),
        ('on', 'true', 'true or false'),
        ('count', True, 'whole number of at least 0'),
        ('count', 3.0, 'whole number of at least 0'),
        ('count', '3', 'whole number of at least 0'),
        ('ratio', True, r'number in \[0, 1\]'),
        ('ratio', '0.5', r'number in \[0, 1\]'),
        ('ratio', None, r'number in \[0, 1\]'),
        ('name', 7, 'text'),
        ('name', b'x', 'text'),
        ('mode', 'slow', "one of 'fast', 'exact'"),
        ('mode', 'FAST', "one of 'fast', 'exact'"),
        ('mode', ['fast'], "one of 'fast', 'exact'"),
        ('names', 'abc', 'list of text'),
        ('names', ['a', 1], 'list of text'),
        ('names', 5, 'list of text'),
        ('numbers', [True], 'list of number of at least 0'),
        ('outer.depth', '2', r'whole number in \[1, 10\]'),
    ],
)
def test_a_wrong_type_says_what_arrived_and_what_was_expected(name, value, expected):
    with pytest.raises(ConfigError, match=f'parameter {name}: got .*{type(value).__name__}.*expected {expected};'):
        build(Schema, {name: value})


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('count', 0),
        ('ratio', 0.0),
        ('ratio', 1.0),
        ('below', 2.5),
        ('numbers', [0.0]),
        ('outer.depth', 1),
        ('outer.depth', 10),
    ],
)
def test_the_ends_of_a_range_belong_to_it(name, value):
    assert flatten(build(Schema, {name: value}))[name] == value


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('count', -1, 'whole number of at least 0'),
        ('ratio', -0.001, r'number in \[0, 1\]'),
        ('ratio', 1.001, r'number in \[0, 1\]'),
        ('ratio', 2, r'number in \[0, 1\]'),
        ('below', 2.6, 'number of at most 2.5'),
        ('numbers', [1.0, -1.0], 'list of number of at least 0'),
        ('outer.depth', 0, r'whole number in \[1, 10\]'),
        ('outer.depth', 11, r'whole number in \[1, 10\]'),
    ],
)
def test_a_value_out_of_range_is_refused(name, value, expected):
    with pytest.raises(ConfigError, match=f'parameter {name}: got .*expected {expected};'):
        build(Schema, {name: value})


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('name', ['ratio', 'below'])
def test_nan_and_infinity_are_no_numbers(name, value):
    with pytest.raises(ConfigError, match=f'parameter {name}: got -?(nan|inf)'):
        build(Schema, {name: value})
    with pytest.raises(ConfigError, match='parameter numbers'):
        build(Schema, {'numbers': [1.0, value]})


def test_the_message_names_the_default_to_go_back_to():
    with pytest.raises(ConfigError, match=r'ros2 param set.*\(default: \'exact\'\)'):
        only(mode='slow')


def test_an_unknown_name_gets_the_closest_known_one():
    with pytest.raises(ConfigError, match=r'parameter rato: no such parameter, did you mean ratio\?'):
        only(rato=0.5)
    with pytest.raises(ConfigError, match=r'did you mean outer\.depth\?'):
        build(Schema, {'outer.dept': 1})


def test_an_unknown_name_like_no_other_gets_the_nearest_few_and_not_the_whole_list():
    with pytest.raises(
        ConfigError, match=r'parameter conut_it_up: no such parameter, nearest are: count, \S+, \S+; "ros2'
    ):
        build(Schema, {'conut_it_up': 1})


def test_all_problems_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        build(Schema, {'nme': 'x', 'count': -1, 'ratio': 'a', 'outer.depth': 0, 'on': True})
    lines = str(caught.value).splitlines()
    assert [line.split(':')[0] for line in lines] == [
        'parameter nme',
        'parameter count',
        'parameter ratio',
        'parameter outer.depth',
    ]


def test_a_field_without_metadata_is_no_parameter():
    assert 'private' not in flatten(Schema())
    with pytest.raises(ConfigError, match='parameter private: no such parameter'):
        build(Schema, {'private': 1})


def test_specs_carry_unit_liveness_and_the_group_s_description():
    found = {spec.name: spec for spec in specs(Schema)}
    assert (found['ratio'].info.unit, found['ratio'].info.live, found['count'].info.live) == ('s', True, False)
    assert found['outer.depth'].info.description == 'The queue. Messages kept.'
    assert found['outer.depth'].info.maximum == 10


def test_specs_of_an_instance_have_its_values_as_defaults():
    assert {spec.name: spec.ros_default for spec in specs(CHANGED)} == FLAT


def test_an_inherited_schema_has_the_parameters_of_its_base_first():
    @dataclass(frozen=True)
    class Derived(Inner):
        more: bool = param(False, 'More.')

    assert [spec.name for spec in specs(Derived)] == ['depth', 'mode', 'more']
    assert build(Derived, {'depth': 4, 'more': True}) == Derived(depth=4, more=True)


def test_a_built_schema_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        build(Schema, {}).count = 1
