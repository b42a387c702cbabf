# SPDX-License-Identifier: Apache-2.0
"""``mtl-split export``: a checkpoint of ``mtl-split train`` becomes a bundle."""

import argparse
import pickle
from pathlib import Path

import torch

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)
from mtl_split_core.errors import DataError
from mtl_split_train.dataset import read_dataset
from mtl_split_train.export import export_bundle
from mtl_split_train.module import SplitModule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='.ckpt of mtl-split train')
    parser.add_argument(
        '--data',
        type=Path,
        required=True,
        help='folder with the training frames (the tables are counted on them)',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of the new bundle')


def main(args: argparse.Namespace) -> int:
    """Export and verify."""
    module = load_module(args.checkpoint)
    data = read_dataset(args.data / module.config.data.train)
    bundle = export_bundle(module.network, module.config, data, args.out)
    print(
        f'wrote {args.out} (fingerprint {bundle.fingerprint:016x}), verified torch against ONNX at '
        f'every rate; next: mtl-split eval --data {args.data / module.config.data.val} '
        f'--bundle {args.out} --all-rates --update-bundle'
    )
    return 0


def load_module(checkpoint: Path) -> SplitModule:
    """Load a trained module, averaged weights where the run kept them.

    Raises:
        DataError: The file is missing, not a checkpoint, or of another network.
    """
    try:
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        parameters = state['hyper_parameters']
        module = SplitModule(
            **{k: parameters[k] for k in ('config', 'class_weights', 'detection_classes')}
        )
        module.load_state_dict(state['state_dict'])
    except OSError as error:
        msg = (
            f'{checkpoint} cannot be read ({error.strerror}); give the .ckpt of a run, such as '
            'out/train/NAME/checkpoints/best.ckpt'
        )
        raise DataError(msg) from error
    except (KeyError, TypeError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = ' '.join(str(error).split())[:200]
        msg = f'{checkpoint} is not a checkpoint of this network family: {reason}'
        raise DataError(msg) from error
    return module.eval()
