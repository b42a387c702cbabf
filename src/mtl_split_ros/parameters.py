# SPDX-License-Identifier: Apache-2.0
"""Parameters declared once per node: ROS descriptors, README table and config file come from it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import yaml
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mtl_split_core.errors import MtlSplitError

Value = bool | int | float | str | tuple[str, ...]
Check = Callable[[str, Value], None]


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter of a node.

    Args:
        name: Its name.
        default: Its default, which fixes the type.
        text: What it does, with the unit.
        choices: Allowed strings, empty for any.
        limits: Lowest and highest number, None for any.
        form: What may be given, in words, where choices and limits do not say it.
        live: Whether it can be changed while the node runs.
    """

    name: str
    default: Value
    text: str
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    form: str = ''
    live: bool = False

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.form:
            return self.form
        if self.choices:
            return ', '.join(choice or "''" for choice in self.choices)
        if self.limits:
            return f'{self.limits[0]:g} to {self.limits[1]:g}'
        return ''

    def check(self, value: Value) -> None:
        """Refuse a string that is not among the choices; rclpy itself checks types and ranges.

        Raises:
            MtlSplitError: Names parameter, value and choices.
        """
        if self.choices and value not in self.choices:
            msg = f'parameter {self.name} is {value!r}; choose one of: {self.allowed()}'
            raise MtlSplitError(msg)

    def descriptor(self) -> ParameterDescriptor:
        """The descriptor that `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(
            description=self.text,
            additional_constraints=f'one of: {self.allowed()}' if self.choices else self.form,
            read_only=not self.live,
        )
        if self.limits and isinstance(self.default, float):
            low, high = self.limits
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif self.limits:
            low, high = (int(limit) for limit in self.limits)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        return descriptor


class Parameters:
    """The declared parameters of a running node, with typed access."""

    def __init__(self, node: Node, specs: Sequence[ParameterSpec]) -> None:
        """Declare all parameters, with the overrides that the node was started with.

        Raises:
            MtlSplitError: If an override has a wrong type or value.
        """
        self._specs = {spec.name: spec for spec in specs}
        self._check: Check | None = None
        # Read several times a frame; asking the node for one takes as long as a small message.
        self._values: dict[str, Value] = {}
        for spec in specs:
            default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
            try:
                node.declare_parameter(spec.name, default, spec.descriptor())
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                msg = f'parameter {spec.name}: {error}'
                raise MtlSplitError(msg) from error
            self._values[spec.name] = value = _plain(node.get_parameter(spec.name).value)
            spec.check(value)
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._set)

    def guard(self, check: Check) -> None:
        """Let the node refuse values that only it can judge.

        Args:
            check: Called with name and value of every change; raises MtlSplitError. It is
                called once at once with the values that the node was started with.
        """
        for name in self._specs:
            check(name, self._value(name))
        self._check = check

    def text(self, name: str) -> str:
        """A string parameter."""
        value = self._value(name)
        assert isinstance(value, str), name
        return value

    def integer(self, name: str) -> int:
        """An integer parameter."""
        value = self._value(name)
        assert isinstance(value, int), name
        return value

    def number(self, name: str) -> float:
        """A floating point parameter."""
        value = self._value(name)
        assert isinstance(value, float), name
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, without the empty ones.

        An empty ROS list has no type, so the empty default is a list of one empty string.
        """
        value = self._value(name)
        assert isinstance(value, tuple), name
        return tuple(text for text in value if text)

    def _value(self, name: str) -> Value:
        return self._values[name]

    def _set(self, changes: list[Parameter]) -> None:
        for change in changes:
            if change.name in self._values:
                self._values[change.name] = _plain(change.value)

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            for change in changes:
                if spec := self._specs.get(change.name):
                    spec.check(_plain(change.value))
                    if self._check:
                        self._check(change.name, _plain(change.value))
        except MtlSplitError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def _plain(value: object) -> Value:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence):
        return tuple(str(item) for item in value)
    msg = f'a parameter value {value!r} has type {type(value).__name__}, which no parameter has'
    raise MtlSplitError(msg)


def markdown_table(specs: Sequence[ParameterSpec]) -> str:
    """The README's table of these parameters."""
    rows = ['| parameter | default | allowed | meaning |', '| --- | --- | --- | --- |']
    for spec in specs:
        live = ' Can be changed while the node runs.' if spec.live else ''
        allowed = spec.allowed().replace('|', '\\|')
        rows.append(f'| `{spec.name}` | `{_yaml(spec)}` | {allowed} | {spec.text}{live} |')
    return '\n'.join(rows) + '\n'


def config_file(node: str, specs: Sequence[ParameterSpec]) -> str:
    """The parameter file of one node: every parameter with its default and meaning.

    Args:
        node: Node name; the file holds for a node of that name in any namespace.
        specs: Its parameters.
    """
    lines = [f'# Parameters of the {node} node, written from their declaration.']
    lines += [f'/**/{node}:', '  ros__parameters:']
    for spec in specs:
        live = ' Live.' if spec.live else ''
        allowed = f' Allowed: {spec.allowed()}.' if spec.allowed() else ''
        lines += wrap(
            f'{spec.text}{allowed}{live}',
            100,
            initial_indent='    # ',
            subsequent_indent='    # ',
        )
        lines += [f'    {spec.name}: {_yaml(spec)}']
    return '\n'.join(lines) + '\n'


def _yaml(spec: ParameterSpec) -> str:
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    text = yaml.safe_dump(default, default_flow_style=True, width=1000)
    return text.removesuffix('...\n').strip()


def print_generated(node: str, specs: Sequence[ParameterSpec]) -> None:
    """Print the README table, or with `--yaml` on the command line the config file."""
    print(config_file(node, specs) if '--yaml' in sys.argv else markdown_table(specs), end='')
