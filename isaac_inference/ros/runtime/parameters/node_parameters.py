# SPDX-License-Identifier: Apache-2.0
"""A node's parameters: declared from the schema, checked at configure, updated live where the schema allows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.compat import parameter_overrides
from isaac_inference.ros.runtime.parameters.package import package_parameters
from isaac_inference.ros.runtime.parameters.schema import ParamSpec, build, coerce, param, specs, unknown_name

P = TypeVar('P', bound='NodeParameters')
# Names that rclpy itself handles: not typos of the user.
_OF_RCLPY = ('use_sim_time', 'qos_overrides.', 'start_type_description_service')


@dataclass(frozen=True)
class NodeParameters:
    """Parameters of every node.

    Attributes:
        RENAMED: a parameter's former name -> its name of today. A value under a former name is refused at configure.
    """

    RENAMED: ClassVar[Mapping[str, str]] = MappingProxyType({})

    autostart: bool = param(True, 'Configure and activate on startup; false waits for lifecycle transitions.')
    diagnostics_period_s: float = param(1.0, 'Time between two messages on /diagnostics.', unit='s', minimum=0.05)
    input_timeout_s: float = param(
        2.0, 'Without input for this long, the node reports STALE.', unit='s', minimum=0.05, live=True
    )


class ParameterServer(Generic[P]):
    """Keeps `current`, the validated parameters, in step with the node's ROS parameters.

    ROS types stay dynamic, so that every wrong type gets the schema's own message and an int is accepted as a float.
    Wrong values given on startup are reported by `load()`, not by the declaration: a node whose configure failed can
    be corrected with `ros2 param set` and configured again.

    Args:
        apply: called with the new parameters before a live change is accepted; raises ConfigError to refuse it.
    """

    def __init__(self, node: Node, schema: type[P], apply: Callable[[P], None]) -> None:
        self._node, self._schema, self._apply = node, schema, apply
        self._specs: dict[str, ParamSpec] = {spec.name: spec for spec in specs(schema)}
        self.current: P = schema()
        self.frozen = False  # whether changes of parameters that are not live are refused
        for spec in self._specs.values():
            node.declare_parameter(spec.name, spec.ros_default, _descriptor(spec))
        node.add_on_set_parameters_callback(self._on_set)

    def load(self) -> P:
        """Read and validate all parameters.

        Raises:
            ConfigError: lists every wrong value, and every value under a former name with the name of today.
        """
        given = parameter_overrides(self._node)
        problems = [
            f'parameter {old}: is now {new}; rename it where it is given (parameter file, launch file or command line)'
            for old, new in self._schema.RENAMED.items()
            if old in given
        ]
        try:
            current = build(self._schema, {name: self._node.get_parameter(name).value for name in self._specs})
        except ConfigError as error:
            raise ConfigError('\n'.join([*problems, str(error)])) from None
        if problems:
            raise ConfigError('\n'.join(problems))
        self.current = current
        return current

    def unknown(self) -> list[str]:
        """A sentence for each value that was given to the node under a name it never had; `load` refuses former ones.

        Not an error, because a launch file's SetParameter and a section '/**' address all nodes at once; so the name of
        a parameter of another node of this package is no mistake at all.
        """
        names = [
            name
            for name in parameter_overrides(self._node)
            if name not in self._specs and name not in self._schema.RENAMED and not name.startswith(_OF_RCLPY)
        ]
        others = package_parameters() if names else frozenset()
        return [unknown_name(name, self._specs) for name in names if name not in others]

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in self._specs}
        try:
            for name, value in ours.items():
                coerce(self._specs[name], value)
                if self.frozen and not self._specs[name].info.live:
                    raise ConfigError(
                        f'parameter {name} is read when the node is configured; "ros2 lifecycle set '
                        f'{self._node.get_fully_qualified_name()} cleanup" first, then set it'
                    )
            if self.frozen and ours:
                self._update(ours)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _update(self, changes: dict[str, Any]) -> None:
        values = {name: self._node.get_parameter(name).value for name in self._specs}
        updated = build(self._schema, {**values, **changes})
        self._apply(updated)
        self.current = updated


def _descriptor(spec: ParamSpec) -> ParameterDescriptor:
    unit = f' [{spec.info.unit}]' if spec.info.unit else ''
    when = 'live' if spec.info.live else 'read at configure'
    return ParameterDescriptor(
        name=spec.name,
        description=spec.info.description + unit,
        dynamic_typing=True,
        additional_constraints=f'{spec.expected()}; {when}',
    )
