# SPDX-License-Identifier: Apache-2.0
"""``mtl-split train``: one configuration file to a trained checkpoint, whatever the family."""

import argparse
from pathlib import Path

from mtl_split_train.advice import leave_out_advice
from mtl_split_train.config import read_config
from mtl_split_train.families import find_family


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument('--config', type=Path, required=True, help='YAML file, see experiments/')
    parser.add_argument(
        '--data', type=Path, help="folder of the data set (default: the configuration's data.root)"
    )
    parser.add_argument(
        '--out', type=Path, default=None, help='run folder (default: out/train/NAME)'
    )
    parser.add_argument(
        '--resume', action='store_true', help="go on from the run folder's last checkpoint"
    )
    parser.add_argument(
        '--init',
        type=Path,
        metavar='SOURCE',
        help='start from the weights of a checkpoint, or of a bundle such as camvid',
    )
    parser.add_argument('--epochs', type=int, help="instead of the configuration's")
    parser.add_argument(
        '--precision',
        default='32-true',
        help="Lightning's: 32-true, bf16-mixed, 16-mixed (default: %(default)s)",
    )
    parser.add_argument(
        '--accelerator', default='auto', help='auto, cpu, gpu, ... (default: %(default)s)'
    )
    parser.add_argument(
        '--devices', default='auto', help='how many or which (default: %(default)s)'
    )
    parser.add_argument('--nodes', type=int, default=1, help='machines (default: %(default)s)')
    parser.add_argument(
        '--strategy', default='auto', help='auto, ddp, fsdp, ... (default: %(default)s)'
    )


def main(args: argparse.Namespace) -> int:
    """Run the training of the family that the configuration names."""
    leave_out_advice()
    family, content = find_family(read_config(args.config), str(args.config))
    return family.train(content, str(args.config), args)
