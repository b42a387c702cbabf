# SPDX-License-Identifier: Apache-2.0
"""Publishes a recording by `mtl-split replay`, which needs no rosbag2."""

from pathlib import Path

from ament_index_python.packages import get_package_share_path
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction

TRUTH = ['true', 'false']


def generate_launch_description() -> LaunchDescription:
    """Describe the replay and its arguments."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'bag',
                default_value='camvid_val',
                description='Recording (rosbag2): a path, or the name of a shipped clip.',
            ),
            DeclareLaunchArgument(
                'speed', default_value='1.0', description='Factor on the speed, above 0.'
            ),
            DeclareLaunchArgument(
                'loop',
                default_value='false',
                choices=TRUTH,
                description='Start again at the end.',
            ),
            DeclareLaunchArgument(
                'remap',
                default_value='',
                description='Other names for topics: FROM:=TO, several with spaces between.',
            ),
            DeclareLaunchArgument(
                'wait_for_subscribers',
                default_value='0',
                description='Number of matched subscriptions to start at.',
            ),
            DeclareLaunchArgument(
                'use_sim_time',
                default_value='false',
                choices=TRUTH,
                description='Publish /clock.',
            ),
            OpaqueFunction(function=_replay),
        ]
    )


def _replay(context: LaunchContext) -> list[ExecuteProcess]:
    arguments = context.launch_configurations
    bag = Path(arguments['bag']).expanduser()
    shipped = get_package_share_path('mtl_split') / 'samples' / bag / 'bag'
    command = ['mtl-split', 'replay', str(bag if bag.exists() else shipped)]
    command += ['--rate', arguments['speed']]
    command += ['--wait-for-subscribers', arguments['wait_for_subscribers']]
    command += ['--loop'] if arguments['loop'] == 'true' else []
    command += ['--clock'] if arguments['use_sim_time'] == 'true' else []
    for rule in arguments['remap'].split():
        command += ['--remap', rule]
    return [ExecuteProcess(cmd=command, output='screen')]
