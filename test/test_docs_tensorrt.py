# SPDX-License-Identifier: Apache-2.0
"""docs/tensorrt.md names only commands, options, parameters, messages and files that exist."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from isaac_inference.cli.main import parser
from isaac_inference.cli.shared.tensorrt_options import tensorrt_settings
from isaac_inference.engines.tensorrt.settings import PRESETS, TensorRtSettings
from isaac_inference.ros.nodes.inference.node import InferenceParameters
from isaac_inference.ros.runtime.parameters.schema import specs

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / 'docs' / 'tensorrt.md'
TEXT = GUIDE.read_text(encoding='utf-8')
README = (ROOT / 'README.md').read_text(encoding='utf-8')
SECTION = README.split('\n## TensorRT\n')[1].split('\n## ')[0]
FIELDS = {field.name for field in dataclasses.fields(TensorRtSettings)}
OTHERS = {  # of pip, venv and docker
    '--system-site-packages',
    '--break-system-packages',
    '--force-reinstall',
    '--no-cache-dir',
    '--no-binary',
    '--gpus',
    '--runtime',
}
BUILDING = 'BUILDING '  # one constant of its own in front of the text


@functools.cache
def whole_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line, with the commands that are not registered yet, and its commands by name."""
    top = parser()
    commands = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    for name in ('convert', 'validate', 'build', 'bench'):
        if name not in commands.choices:
            importlib.import_module(f'isaac_inference.cli.{name}').add_command(commands)
    return top, dict(commands.choices)


def command_lines(text: str) -> list[str]:
    """What stands alone on an indented line, without its comment."""
    return [line.split(' #')[0].strip() for line in re.findall(r'^ {4,}(isaac-inference .*)$', text, re.MULTILINE)]


LINES = command_lines(TEXT) + command_lines(SECTION)


@pytest.mark.parametrize('line', LINES)
def test_every_command_line_is_accepted(line: str) -> None:
    arguments = whole_parser()[0].parse_args(shlex.split(line)[1:])
    if arguments.command == 'build':
        tensorrt_settings(arguments)  # its values make sense too


def test_the_guide_shows_every_command_of_tensorrt() -> None:
    shown = {shlex.split(line)[1] for line in LINES}
    assert {'convert', 'validate', 'build', 'bench', 'record'} <= shown


def test_every_option_that_the_text_names_exists() -> None:
    known = {option for command in whole_parser()[1].values() for option in command._option_string_actions}
    named = set(re.findall(r'(?<![\w-])--[a-z][a-z0-9-]+', TEXT))
    assert named - OTHERS - known == set()


def test_the_parameters_are_those_of_the_settings() -> None:
    named = set(re.findall(r'`tensorrt\.([a-z][a-z0-9_]*)', TEXT))
    assert named == FIELDS


def test_the_yaml_is_a_parameter_file_of_the_inference_node() -> None:
    known = {spec.name for spec in specs(InferenceParameters)}
    blocks = re.findall(r'```yaml\n(.*?)```', TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        for node in yaml.safe_load(block).values():
            values = dict(node['ros__parameters'])
            settings = values.pop('tensorrt', {})
            TensorRtSettings(**settings)
            assert values.keys() <= known


def test_the_presets_are_those_that_there_are() -> None:
    rows = re.findall(r'^\| `(\w+)` \| (\d)', TEXT, re.MULTILINE)
    assert dict(rows) == {name: str(level) for name, level in PRESETS.items()}


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r'\]\((?!https?:)([^)#]+)', TEXT)
    assert links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []


@functools.cache
def texts_of_the_package() -> str:
    """All text constants of the package, those of f-strings with a gap where a value goes."""
    found = []
    for path in sorted((ROOT / 'isaac_inference').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    ''.join(str(part.value) if isinstance(part, ast.Constant) else '\0' for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return '\n'.join(found)


def messages() -> list[str]:
    """What the second column of the troubleshooting table quotes."""
    rows = [line.split(' | ') for line in TEXT.split('## Troubleshooting')[1].splitlines() if line.startswith('| ')]
    return [quoted for row in rows[1:] for quoted in re.findall(r'`([^`]+)`', row[1]) if ' ' in quoted.strip('. ')]


@pytest.mark.parametrize('message', messages())
def test_every_message_of_the_table_is_one_of_ours(message: str) -> None:
    for part in message.removeprefix(BUILDING).split('...'):
        assert part.strip(' ,;(') in texts_of_the_package()
