# SPDX-License-Identifier: Apache-2.0
"""The edge node's parameters; run as a module, prints the README table (or --yaml the config)."""

from mtl_split_ros.parameters import ParameterSpec, print_generated

CODECS = ('entropy', 'float16', 'lossless')

EDGE_PARAMETERS = (
    ParameterSpec(
        'bundle',
        'camvid',
        'Model bundle: a directory, or a name that is looked up in $MTL_SPLIT_BUNDLES and among '
        'the shipped models.',
    ),
    ParameterSpec(
        'rate',
        -1,
        'Rate index of the bundle, the higher the more bytes; -1 takes its default.',
        limits=(-1, 255),
        live=True,
    ),
    ParameterSpec('codec', 'entropy', 'How Z_b is coded.', choices=CODECS, live=True),
    ParameterSpec(
        'image_transport',
        'raw',
        'Subscribe `image` as sensor_msgs/Image, or `image/compressed` as CompressedImage.',
        choices=('raw', 'compressed'),
    ),
    ParameterSpec(
        'untyped_encoding',
        '',
        'What an image of encoding 8UC3 is taken for; empty refuses it.',
        choices=('', 'rgb8', 'bgr8'),
        live=True,
    ),
    ParameterSpec('backend', 'onnxruntime', 'Inference backend that runs the encoder.'),
    ParameterSpec('threads', 1, 'Threads of the encoder.', limits=(1, 256)),
    ParameterSpec(
        'providers',
        ('',),
        'Execution providers of the backend, best first; an empty name leaves the choice to it.',
    ),
    ParameterSpec(
        'feature_reliability',
        'reliable',
        'Reliability of the `features` publisher.',
        choices=('reliable', 'best_effort'),
    ),
    ParameterSpec(
        'diagnostic_updater.period', 1.0, 'Seconds between diagnostics.', limits=(0.1, 60.0)
    ),
)

if __name__ == '__main__':
    print_generated('edge', EDGE_PARAMETERS)
