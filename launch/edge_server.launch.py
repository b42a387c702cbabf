# SPDX-License-Identifier: Apache-2.0
"""Starts both sides, with a recording and RViz on demand."""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node

from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.launching import below, cameras_of

HERE = Path(__file__).parent


def generate_launch_description() -> LaunchDescription:
    """Describe both nodes and what can be started with them.

    Beside the arguments here are those of the three files that this one includes; where both
    declare one, the default here holds.
    """
    with_bag = NotEqualsSubstitution(LaunchConfiguration('bag'), '')
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'bag',
                default_value='',
                description='Recording (rosbag2) to publish: a path, or the name of a shipped '
                'clip such as camvid_val. Empty: none, a camera is there.',
            ),
            DeclareLaunchArgument(
                'image_topic',
                default_value='',
                description='Camera topic; with image_transport compressed, without '
                '`/compressed`. Empty: image; with a bag /image, also in a namespace.',
            ),
            DeclareLaunchArgument(
                'image_transport',
                default_value='',
                choices=['', 'raw', 'compressed'],
                description='Whether the camera topic is an Image or a CompressedImage. Empty: '
                'as in params_file, else raw; with a bag compressed.',
            ),
            DeclareLaunchArgument(
                'wait_for_subscribers',
                default_value='1',
                description='Number of matched subscriptions that the bag starts at.',
            ),
            DeclareLaunchArgument(
                'rviz',
                default_value='false',
                choices=['true', 'false'],
                description='Start RViz with overlay and mask, of several cameras of the first.',
            ),
            OpaqueFunction(function=_find_rviz),
            OpaqueFunction(function=_follow_bag),
            _include('edge'),
            _include('server'),
            _include('replay', IfCondition(with_bag)),
            OpaqueFunction(function=_show_first_camera),
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=LaunchConfiguration('shown_namespace'),
                arguments=['-d', str(HERE.parent / 'rviz' / 'mtl_split.rviz')],
                # The names in that file are absolute.
                remappings=[
                    ('/image', LaunchConfiguration('shown_image')),
                    ('/image/compressed', [LaunchConfiguration('shown_image'), '/compressed']),
                    ('/overlay', 'overlay'),
                    ('/segmentation/color', 'segmentation/color'),
                ],
                output='screen',
                condition=IfCondition(LaunchConfiguration('rviz')),
            ),
        ]
    )


def _include(name: str, condition: IfCondition | None = None) -> IncludeLaunchDescription:
    return IncludeLaunchDescription(str(HERE / f'{name}.launch.py'), condition=condition)


def _find_rviz(context: LaunchContext) -> None:
    """Refuse before anything starts, and say what helps; `launch` lists where it searched."""
    if context.launch_configurations['rviz'] == 'true':
        try:
            get_package_prefix('rviz2')
        except PackageNotFoundError as error:
            msg = (
                'rviz:=true, but rviz2 is not installed: sudo apt install ros-jazzy-rviz2, or '
                'leave it out and look by `mtl-split view`'
            )
            raise RuntimeError(msg) from error


def _follow_bag(context: LaunchContext) -> None:
    """Fill in what was left empty: most recordings hold `/image/compressed`."""
    arguments = context.launch_configurations
    if not arguments['image_topic']:
        arguments['image_topic'] = '/image' if arguments['bag'] else 'image'
    if arguments['bag'] and not arguments['image_transport']:
        arguments['image_transport'] = 'compressed'


def _show_first_camera(context: LaunchContext) -> None:
    """Fill in what RViz shows."""
    arguments = context.launch_configurations
    namespace, image = arguments['namespace'], arguments['image_topic']
    for camera in cameras_of(context, [spec.name for spec in EDGE_PARAMETERS])[:1]:
        namespace, image = below(namespace, camera.name), camera.image_topic or image
    arguments['shown_namespace'], arguments['shown_image'] = namespace, image
