# SPDX-License-Identifier: Apache-2.0
"""Every choice of every node's parameters, written into a parameter file as the docs have it: without quotes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.runtime.parameters.node_parameters import ParameterServer
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch, ParamSpec, flatten, specs


def schema_of(name: str) -> Any:
    module, _, kind = NODES[name].partition(':')
    return getattr(importlib.import_module(module), kind).Parameters


def choices_of(name: str) -> list[ParamSpec]:
    """The parameters that are one of some names."""
    every = specs(schema_of(name))
    return [spec for spec in every if isinstance(spec.type, type) and issubclass(spec.type, Enum)]


@contextlib.contextmanager
def node_with(arguments: Sequence[str]) -> Iterator[Node]:
    node = rclpy.create_node('plain', cli_args=['--ros-args', *arguments])
    try:
        yield node
    finally:
        node.destroy_node()


@pytest.mark.parametrize('name', NODES)
def test_each_choice_is_taken_as_it_stands_in_the_docs(ros: None, tmp_path: Path, name: str) -> None:
    choices, file = choices_of(name), tmp_path / 'parameters.yaml'
    assert choices, 'every node has at least the choices of its qos'
    for place in range(max(len(spec.type) for spec in choices)):
        given = {spec.name: list(spec.type)[place % len(spec.type)] for spec in choices}
        lines = [f'    {key}: {value.value}' for key, value in given.items()]
        file.write_text('\n'.join(['/**:', '  ros__parameters:', *lines, '']))
        with node_with(['--params-file', str(file)]) as node:
            read = flatten(ParameterServer(node, schema_of(name), lambda updated: None).load())
        assert {key: read[key] for key in given} == {key: value.value for key, value in given.items()}


@pytest.mark.parametrize('name', ['track', 'skeletons', 'pose', 'stereo'])
def test_true_and_false_are_taken_from_the_command_line_and_while_it_stands(ros: None, name: str) -> None:
    switches = [spec.name for spec in choices_of(name) if {'true', 'false'} <= {item.value for item in spec.type}]
    assert switches
    for switch in switches:
        with node_with(['-p', f'{switch}:=false']) as node:
            server = ParameterServer(node, schema_of(name), lambda updated: None)
            assert flatten(server.load())[switch] == 'false'
            answer = node.set_parameters([rclpy.parameter.Parameter(switch, value=True)])[0]
            assert answer.successful, answer.reason
            assert flatten(server.load())[switch] == 'true'


def test_a_switch_that_is_none_is_told_what_it_may_be(ros: None) -> None:
    server = lambda node: ParameterServer(node, schema_of('pose'), lambda updated: None)  # noqa: E731
    told = r"parameter use_masks: got 1 \(int\), expected one of 'auto', 'true', 'false'"
    with node_with(['-p', 'use_masks:=1']) as node, pytest.raises(ConfigError, match=told):
        server(node).load()
    with node_with(['-p', 'method:=true']) as node, pytest.raises(ConfigError, match=r'method: got True \(bool\)'):
        server(node).load()
    assert [item.value for item in AutoSwitch] == ['auto', 'true', 'false']
