# SPDX-License-Identifier: Apache-2.0
"""``mtl-split export``: a checkpoint of ``mtl-split train`` becomes a bundle."""

import argparse
import pickle
from pathlib import Path

import torch

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)
from mtl_split_core.errors import DataError
from mtl_split_train.export import export_bundle
from mtl_split_train.formats import read_split
from mtl_split_train.module import SplitModule, read_parameters

#: What a file that is no checkpoint, or one of another network, raises on its way into a module.
_WRONG_CONTENT = (
    DataError, EOFError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError,
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='.ckpt of mtl-split train')
    parser.add_argument(
        '--data',
        type=Path,
        help='folder of the data set; the tables are counted on its training split (default: '
        "the configuration's)",
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of the new bundle')
    parser.add_argument(
        '--with-torch',
        action='store_true',
        help="also write encoder.safetensors and tail.safetensors for the backend 'torch'",
    )
    parser.add_argument(
        '--int8',
        action='store_true',
        help="run the tail's convolutions in 8 bits: about half the time on a CPU; the change of "
        'the answers is measured and bounded',
    )
    parser.add_argument(
        '--unweight',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='take back this share of what the class weights of the loss did to the label map: 0 '
        'favours rare classes as in training, 1 none (default: %(default)s)',
    )


def main(args: argparse.Namespace) -> int:
    """Export and verify."""
    module = load_module(args.checkpoint)
    unweight(module, args.unweight)
    config = module.config.data
    root = args.data or Path(config.root)
    data = read_split(config.format, root, config.train)
    if data.classes != module.classes:
        msg = (
            f'{data.path} has the classes {data.classes.mapping()}, {args.checkpoint} was trained '
            f'on {module.classes.mapping()}: give the --data of its run'
        )
        raise DataError(msg)
    bundle = export_bundle(
        module.network,
        module.config,
        data,
        args.out,
        with_torch=args.with_torch,
        int8=args.int8,
    )
    print(
        f'wrote {args.out} (fingerprint {bundle.fingerprint:016x}), verified torch against ONNX at '
        f'every rate; next: mtl-split eval --data {root / config.val} '
        f'--bundle {args.out} --all-rates --update-bundle'
    )
    return 0


def unweight(module: SplitModule, share: float) -> None:
    """Lower each segmentation logit by ``share`` of the logarithm of its class's weight.

    Cross-entropy with weights w teaches probabilities in proportion to w p: right for the mean
    recall of the classes, too generous to the rare ones for their IoU.
    """
    head = module.network.tail.segmentation
    if head is None or not share:
        return
    shift = share * module.class_weights.log()
    bias = head.classify.bias
    assert bias is not None
    with torch.no_grad():
        # Four neighbouring places of one class lie side by side (PixelShuffle).
        bias -= shift.repeat_interleave(4)


def load_module(checkpoint: Path) -> SplitModule:
    """Load a trained module, averaged weights where the run kept them.

    Raises:
        DataError: The file is missing, not a checkpoint, or of another network.
    """
    try:
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        module = SplitModule(**read_parameters(state['hyper_parameters']))
        module.load_state_dict(state['state_dict'])
    except OSError as error:
        msg = (
            f'{checkpoint} cannot be read ({error.strerror}); give the .ckpt of a run, such as '
            'out/train/NAME/checkpoints/best.ckpt'
        )
        raise DataError(msg) from error
    except _WRONG_CONTENT as error:
        reason = ' '.join(str(error).split())[:200]
        msg = f'{checkpoint} is not a checkpoint of this network family: {reason}'
        raise DataError(msg) from error
    return module.eval()
