# SPDX-License-Identifier: Apache-2.0
"""What the launch files of both nodes share; arguments come from the parameters' declaration."""

from collections.abc import Sequence

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from mtl_split_ros.parameters import ParameterSpec

FALLBACK = 'Empty: as in params_file, else the default'


def common_arguments() -> list[DeclareLaunchArgument]:
    """The arguments that every node takes."""
    return [
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the nodes and topics.'
        ),
        DeclareLaunchArgument(
            'image_topic',
            default_value='image',
            description='Camera topic; with image_transport compressed, without `/compressed`.',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value='',
            description='Parameter file (YAML) as config/edge.yaml and config/server.yaml show it. '
            'Arguments given here win over it.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=['true', 'false'],
            description='Take the time from /clock.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='Least severe messages that are printed.',
        ),
    ]


def describe_node(
    executable: str, specs: Sequence[ParameterSpec], names: Sequence[str]
) -> LaunchDescription:
    """Describe the launch of one node.

    Args:
        executable: Name of the executable, which is the node's name, too.
        specs: All parameters of the node.
        names: Those which are arguments of the launch file.
    """
    offered = [spec for spec in specs if spec.name in names]
    return LaunchDescription(
        [
            *common_arguments(),
            *map(_argument, offered),
            OpaqueFunction(function=_node, args=[executable, offered]),
        ]
    )


def _argument(spec: ParameterSpec) -> DeclareLaunchArgument:
    description = f'{spec.text} {FALLBACK}, {spec.default}.'
    if spec.choices:
        choices = ['', *spec.choices]
        return DeclareLaunchArgument(
            spec.name, default_value='', choices=choices, description=description
        )
    return DeclareLaunchArgument(spec.name, default_value='', description=description)


def _node(context: LaunchContext, executable: str, specs: Sequence[ParameterSpec]) -> list[Node]:
    """Make the node once the arguments are known: only those that were given become parameters."""
    arguments = context.launch_configurations
    given = {
        spec.name: ParameterValue(LaunchConfiguration(spec.name), value_type=type(spec.default))
        for spec in specs
        if arguments[spec.name]
    }
    simulated = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    files = [arguments['params_file']] if arguments['params_file'] else []
    # where security is on, see security/: each node has the keys of its own full name
    enclave = '/'.join(['', *filter(None, arguments['namespace'].split('/')), executable])
    return [
        Node(
            package='mtl_split',
            executable=executable,
            name=executable,
            namespace=LaunchConfiguration('namespace'),
            parameters=[*files, {'use_sim_time': simulated, **given}],
            remappings=[('image', LaunchConfiguration('image_topic'))],
            ros_arguments=['--log-level', LaunchConfiguration('log_level'), '--enclave', enclave],
            output='screen',
        )
    ]
