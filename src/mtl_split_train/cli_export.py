# SPDX-License-Identifier: Apache-2.0
"""``mtl-split export``: a checkpoint of ``mtl-split train`` becomes a bundle."""

import argparse
from pathlib import Path

from mtl_split_train.advice import leave_out_advice
from mtl_split_train.families import checkpoint_family, load_family


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
    """Export a checkpoint of any family."""
    leave_out_advice()
    family = load_family(checkpoint_family(args.checkpoint), str(args.checkpoint))
    return family.export(args)
