# SPDX-License-Identifier: Apache-2.0
"""The edge node's parameters; run as a module, prints the README table (or --yaml the config)."""

from mtl_split_core.codec_ids import PICTURE_FORMATS
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_ros.answer_filter import answer_parameters
from mtl_split_ros.parameters import ParameterSpec, print_generated
from mtl_split_ros.snapshot import SNAPSHOT_DIR

CODECS = ('entropy', 'float16', 'lossless')
MODES = ('split', 'remote', 'local', 'auto')
PICTURES = tuple(
    f'{kind}:{quality}' for kind in PICTURE_FORMATS.values() for quality in PICTURE_QUALITY
)

EDGE_PARAMETERS = (
    ParameterSpec(
        'bundle',
        'camvid',
        'Model bundle: a directory, or a name that is looked up in $MTL_SPLIT_BUNDLES and among '
        'the shipped models.',
    ),
    ParameterSpec(
        'mode',
        'split',
        'Who answers: split sends Z_b, remote the picture, to the server; local answers here; auto '
        'chooses for each image what is best in time, by the profile of this machine.',
        choices=MODES,
        live=True,
    ),
    ParameterSpec(
        'rate',
        -1,
        'Rate index of the bundle in mode split, the higher the more bytes; -1 takes its default.',
        limits=(-1, 255),
        live=True,
    ),
    ParameterSpec('codec', 'entropy', 'How Z_b is coded in mode split.', choices=CODECS, live=True),
    ParameterSpec(
        'picture',
        'jpeg:80',
        'What mode remote sends: format and quality.',
        choices=PICTURES,
        live=True,
    ),
    ParameterSpec(
        'deadline_ms',
        150.0,
        'For mode auto: milliseconds from an image to its answer.',
        limits=(1.0, 60_000.0),
        live=True,
    ),
    ParameterSpec(
        'profile',
        '',
        'For mode auto: file in the directory of the bundle, as `mtl-split profile` writes it; '
        'empty takes the one of this machine.',
    ),
    *answer_parameters('For local answers, as on the server: '),
    ParameterSpec(
        'image_transport',
        'raw',
        'Subscribe `image` as sensor_msgs/Image, or `image/compressed` as CompressedImage.',
        choices=('raw', 'compressed'),
    ),
    ParameterSpec(
        'image_reliability',
        'best_available',
        'Reliability of the `image` subscription; best_available: reliable where all publishers '
        'are, else best effort.',
        choices=('best_available', 'reliable', 'best_effort'),
    ),
    ParameterSpec(
        'untyped_encoding',
        '',
        'What an image of encoding 8UC3 is taken for; empty refuses it.',
        choices=('', 'rgb8', 'bgr8'),
        live=True,
    ),
    ParameterSpec('backend', 'onnxruntime', 'Inference backend that runs the encoder.'),
    ParameterSpec('threads', 1, 'Threads of the encoder and of OpenCV.', limits=(1, 256)),
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
    SNAPSHOT_DIR,
    ParameterSpec(
        'diagnostic_updater.period', 1.0, 'Seconds between diagnostics.', limits=(0.1, 60.0)
    ),
)

if __name__ == '__main__':
    print_generated('edge', EDGE_PARAMETERS)
