# SPDX-License-Identifier: Apache-2.0
"""Budgets from YAML: the presets, and everything that is wrong with a file, at once."""

from __future__ import annotations

import re
import textwrap

import pytest
from support.paths import ROOT

from isaac_inference.errors import ConfigError
from isaac_inference.serving.budgets.budget import STAGES
from isaac_inference.serving.budgets.budget_file import budget_of, presets, read_budget

FOLDER = ROOT / 'config' / 'budgets'


@pytest.mark.parametrize(
    ('name', 'total'),
    [('slow_mobile', 500), ('fast_mobile', 100), ('manipulation', 50), ('humanoid', 20), ('moving_pick', 100)],
)
def test_the_presets(name, total):
    budget = read_budget(name, FOLDER)
    assert (budget.name, budget.total_ms) == (name, total)
    assert sum(budget.stages.values()) <= total
    assert budget.max_allowed_processing_time_ms == total < budget.max_acceptable_consecutive_delay_ms


def test_every_preset_is_tested():
    assert presets(FOLDER) == ['fast_mobile', 'humanoid', 'manipulation', 'moving_pick', 'slow_mobile']


def test_the_pick_of_a_moving_object_has_five_parts():
    assert sorted(read_budget('moving_pick', FOLDER).stages.values()) == [5, 20, 20, 25, 30]


def test_a_file_of_the_user_s_own(tmp_path):
    path = tmp_path / 'arm.yaml'
    path.write_text('total_ms: 40\nstages: {pose: 8, camera: 2.5}\nmax_allowed_processing_time_ms: 30\n')
    budget = read_budget(str(path), FOLDER)
    assert (budget.name, budget.total_ms, budget.max_allowed_processing_time_ms) == ('arm', 40, 30)
    assert list(budget.stages.items()) == [('camera', 2.5), ('pose', 8)], 'in the order of the data'
    assert budget.max_acceptable_consecutive_delay_ms == 400, 'ten times the total'


def test_an_unknown_preset_lists_what_there_is():
    with pytest.raises(ConfigError) as caught:
        read_budget('manipulator', FOLDER)
    assert 'budget manipulator: no such preset; did you mean manipulation?' in str(caught.value)
    assert 'fast_mobile, humanoid, manipulation, moving_pick, slow_mobile' in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r'cannot be read.*fast_mobile'):
        read_budget(str(tmp_path / 'none.yaml'), FOLDER)


def refusal(content):
    with pytest.raises(ConfigError) as caught:
        budget_of(content, 'arm', 'arm.yaml')
    return str(caught.value).splitlines()


def test_stages_that_add_up_to_more_than_their_total():
    [line] = refusal({'total_ms': 50, 'stages': {'camera': 20, 'inference': 25, 'pose': 6}})
    assert line == (
        'budget arm.yaml: stages: camera 20 + inference 25 + pose 6 = 51 ms, more than total_ms: 50; lower a stage or '
        'raise the total'
    )


def test_stages_that_add_up_to_their_total_in_decimal_fractions():
    assert budget_of({'total_ms': 0.6, 'stages': {'camera': 0.1, 'pose': 0.2, 'track': 0.3}}, 'a', 'a').total_ms == 0.6


def test_everything_that_is_wrong_is_said_at_once():
    lines = refusal(
        {
            'totl_ms': 50,
            'stages': {'inferense': 10, 'pose': -1, 'gripper': 3, 'track': True, 'camera': float('nan')},
            'max_allowed_processing_time_ms': 'much',
        }
    )
    assert all(line.startswith('budget arm.yaml: ') for line in lines)
    text = '\n'.join(lines)
    for part in (
        'totl_ms: no such key, did you mean total_ms?',
        'total_ms: is missing',
        'inferense: no such stage, did you mean inference?',
        f'gripper: no such stage, there are: {", ".join(STAGES)}',
        'stages.pose: got -1, expected a time above 0 in ms',
        'stages.track: got True, expected a time above 0 in ms',
        'stages.camera: got nan, expected a time above 0 in ms',
        "max_allowed_processing_time_ms: got 'much', expected a time above 0 in ms",
    ):
        assert part in text
    assert len(lines) == 8


@pytest.mark.parametrize('total', [-5, 0, None, [1], float('inf')])
def test_a_total_that_is_no_time(total):
    [line] = refusal({'total_ms': total})
    assert f'total_ms: got {total!r}, expected a time above 0 in ms' in line


def test_a_late_frame_must_not_go_unsaid():
    [line] = refusal({'total_ms': 50, 'max_allowed_processing_time_ms': 60})
    assert 'frames over the budget would not be reported' in line


@pytest.mark.parametrize(('text', 'words'), [('', 'an empty file'), ('- 1', 'list'), ('a: [', 'no YAML')])
def test_a_file_that_is_no_budget(tmp_path, text, words):
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_budget(str(path), FOLDER)


def test_stages_that_are_no_table():
    [line] = refusal({'total_ms': 50, 'stages': [10, 20]})
    assert 'expected a time in ms for any of camera' in line


def test_the_budget_that_the_page_shows(tmp_path):
    page = (ROOT / 'docs' / 'budgets.md').read_text(encoding='utf-8')
    [shown] = re.findall(r'```yaml\n(.*?)```', page, flags=re.DOTALL)
    path = tmp_path / 'my_arm.yaml'
    path.write_text(textwrap.dedent(shown))
    budget = read_budget(str(path), FOLDER)
    assert list(budget.stages) == list(STAGES)
    assert sum(budget.stages.values()) == budget.total_ms == 50
    assert (budget.max_allowed_processing_time_ms, budget.max_acceptable_consecutive_delay_ms) == (45, 500)


def test_the_page_has_every_preset():
    page = (ROOT / 'docs' / 'budgets.md').read_text(encoding='utf-8')
    for name in presets(FOLDER):
        assert f'| `{name}` | {read_budget(name, FOLDER).total_ms:g} ms |' in page
