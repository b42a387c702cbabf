# SPDX-License-Identifier: Apache-2.0
"""The server node's parameters; run as a module, prints the README table (or --yaml the config)."""

from mtl_split_ros.answer_filter import answer_parameters
from mtl_split_ros.parameters import ParameterSpec, print_generated
from mtl_split_ros.snapshot import SNAPSHOT_DIR

SERVER_PARAMETERS = (
    ParameterSpec(
        'bundle',
        'camvid',
        'Model bundle, the same as the edge has: a directory, or a name that is looked up in '
        '$MTL_SPLIT_BUNDLES and among the shipped models.',
    ),
    ParameterSpec(
        'features_of',
        '',
        'Bundle that made the features, where that is another one with the same encoder and '
        'tables: for recordings, and for another tail beside edges that stay as they are. Empty: '
        '`bundle` itself.',
    ),
    ParameterSpec(
        'cameras',
        ('',),
        'Namespaces of the cameras that share this server, below its own; an empty name: one '
        'camera, in the namespace of the server.',
    ),
    *answer_parameters(),
    ParameterSpec('backend', 'onnxruntime', 'Inference backend that runs the tail.'),
    ParameterSpec('threads', 2, 'Threads of the tail.', limits=(1, 256)),
    ParameterSpec(
        'providers',
        ('',),
        'Execution providers of the backend, best first; an empty name leaves the choice to it.',
    ),
    ParameterSpec(
        'batch',
        0,
        'Most frames of different cameras that go through the tail in one run, where they wait at '
        'the same time; none is waited for. 0: 4 where the first of `providers` is a GPU, else 1, '
        'since on a CPU a run of several saves next to no work and the first frame waits for the '
        'others. Never more than there are cameras; 1 with a bundle whose tail takes one frame.',
        limits=(0, 8),
    ),
    ParameterSpec(
        'feature_reliability',
        'best_effort',
        'Reliability of the `features` subscription.',
        choices=('best_effort', 'reliable'),
    ),
    ParameterSpec(
        'image_transport',
        'raw',
        'For `overlay`: subscribe `image` as sensor_msgs/Image, or `image/compressed` as '
        'CompressedImage.',
        choices=('raw', 'compressed'),
    ),
    ParameterSpec(
        'image_reliability',
        'best_available',
        'For `overlay`: reliability of the `image` subscription; best_available: reliable where '
        'all publishers are, else best effort.',
        choices=('best_available', 'reliable', 'best_effort'),
    ),
    ParameterSpec(
        'untyped_encoding',
        '',
        'For `overlay`: what an image of encoding 8UC3 is taken for; empty refuses it.',
        choices=('', 'rgb8', 'bgr8'),
        live=True,
    ),
    ParameterSpec(
        'report_rate',
        10.0,
        'Link reports per second while nothing is answered; one follows each answer, too.',
        limits=(0.1, 50.0),
    ),
    SNAPSHOT_DIR,
    ParameterSpec(
        'diagnostic_updater.period', 1.0, 'Seconds between diagnostics.', limits=(0.1, 60.0)
    ),
)

if __name__ == '__main__':
    print_generated('server', SERVER_PARAMETERS)
