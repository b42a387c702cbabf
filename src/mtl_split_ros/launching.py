# SPDX-License-Identifier: Apache-2.0
"""What the launch files of both nodes share; arguments come from the parameters' declaration."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from mtl_split_ros.cameras import CameraSettings, read_cameras
from mtl_split_ros.parameters import ParameterSpec

FALLBACK = 'Empty: as in params_file, else the default'


def common_arguments() -> list[DeclareLaunchArgument]:
    """The arguments that every node takes."""
    return [
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the nodes and topics.'
        ),
        DeclareLaunchArgument(
            'cameras',
            default_value='',
            description='Namespaces of several cameras that share one server, with commas between, '
            'as in front,left,right; or a YAML file with settings for each, as config/cameras.yaml '
            'shows it. Empty: one camera, in the namespace of the nodes.',
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


def describe_edge(specs: Sequence[ParameterSpec], names: Sequence[str]) -> LaunchDescription:
    """Describe the launch of the edge, or of one for each camera in its namespace.

    Args:
        specs: All parameters of the node.
        names: Those which are arguments of the launch file.
    """
    return _describe(specs, names, _edges, [spec.name for spec in specs])


def describe_server(
    specs: Sequence[ParameterSpec], names: Sequence[str], edge_specs: Sequence[ParameterSpec]
) -> LaunchDescription:
    """Describe the launch of the server, which is one for all cameras.

    Args:
        specs: All parameters of the node.
        names: Those which are arguments of the launch file.
        edge_specs: All parameters of the edge, which the file of the cameras may hold.
    """
    return _describe(specs, names, _server, [spec.name for spec in edge_specs])


def cameras_of(context: LaunchContext, parameters: Collection[str]) -> tuple[CameraSettings, ...]:
    """Read the launch argument `cameras`, see read_cameras()."""
    return read_cameras(context.launch_configurations['cameras'], parameters)


def below(namespace: str, name: str) -> str:
    """Return the namespace of a camera, given that of the nodes, which may be ''."""
    return f'{namespace.rstrip("/")}/{name}' if namespace.strip('/') else name


def _describe(
    specs: Sequence[ParameterSpec],
    names: Sequence[str],
    make: Callable[..., list[Node]],
    camera_parameters: Sequence[str],
) -> LaunchDescription:
    offered = [spec for spec in specs if spec.name in names]
    return LaunchDescription(
        [
            *common_arguments(),
            *map(_argument, offered),
            OpaqueFunction(function=_name_others, args=[specs, offered]),
            OpaqueFunction(function=make, args=[offered, camera_parameters]),
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


def _name_others(
    context: LaunchContext, specs: Sequence[ParameterSpec], offered: Sequence[ParameterSpec]
) -> None:
    """Warn of parameters that were given as arguments: `ros2 launch` passes over them in silence.

    No error, because the arguments of a launch file that includes this one come along.
    """
    arguments = {argument.name for argument in common_arguments()} | {s.name for s in offered}
    for spec in specs:
        if spec.name not in arguments and spec.name in context.launch_configurations:
            get_logger('mtl_split').warning(
                f'{spec.name} is a parameter and no argument of this launch file, and goes to no '
                'node: give it by params_file'
            )


def _edges(
    context: LaunchContext, specs: Sequence[ParameterSpec], camera_parameters: Sequence[str]
) -> list[Node]:
    arguments = context.launch_configurations
    namespace, image = arguments['namespace'], arguments['image_topic']
    cameras = cameras_of(context, camera_parameters)
    if not cameras:
        return [_node(context, 'edge', namespace, specs, {}, [('image', image)])]
    return [
        _node(
            context,
            'edge',
            below(namespace, camera.name),
            specs,
            camera.parameters,
            [('image', camera.image_topic or image)],
        )
        for camera in cameras
    ]


def _server(
    context: LaunchContext, specs: Sequence[ParameterSpec], camera_parameters: Sequence[str]
) -> list[Node]:
    arguments = context.launch_configurations
    image = arguments['image_topic']
    cameras = cameras_of(context, camera_parameters)
    if not cameras:
        return [_node(context, 'server', arguments['namespace'], specs, {}, [('image', image)])]
    settings: dict[str, Any] = {'cameras': [camera.name for camera in cameras]}
    # It takes the images of all for `overlay` by one transport.
    transports = {camera.parameters.get('image_transport') for camera in cameras}
    if len(transports) == 1 and (transport := transports.pop()):
        settings['image_transport'] = transport
    renamed = [(f'{camera.name}/image', camera.image_in(image)) for camera in cameras]
    return [_node(context, 'server', arguments['namespace'], specs, settings, renamed)]


def _node(
    context: LaunchContext,
    executable: str,
    namespace: str,
    specs: Sequence[ParameterSpec],
    settings: Mapping[str, Any],
    remappings: Sequence[tuple[str, str]],
) -> Node:
    """Make a node once the arguments are known: only those that were given become parameters.

    Args:
        context: Has the arguments.
        executable: Name of the executable, which is the node's name, too.
        namespace: The node's.
        specs: Parameters that are arguments.
        settings: Parameters that win over the arguments.
        remappings: Names of topics, and what they become.
    """
    arguments = context.launch_configurations
    given = {
        spec.name: ParameterValue(LaunchConfiguration(spec.name), value_type=type(spec.default))
        for spec in specs
        if arguments[spec.name]
    }
    simulated = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    files = [arguments['params_file']] if arguments['params_file'] else []
    parameters: dict[Any, Any] = {'use_sim_time': simulated, **given, **settings}
    # where security is on, see security/: each node has the keys of its own full name
    enclave = '/'.join(['', *filter(None, namespace.split('/')), executable])
    return Node(
        package='mtl_split',
        executable=executable,
        name=executable,
        namespace=namespace,
        parameters=[*files, parameters],
        remappings=remappings,
        ros_arguments=['--log-level', LaunchConfiguration('log_level'), '--enclave', enclave],
        output='screen',
    )
