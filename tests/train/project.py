# SPDX-License-Identifier: Apache-2.0
"""A small project as a person has it: data, a configuration, a finished run, its bundle."""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from tests.tiny_dataset import HEIGHT, WIDTH, make_dataset

from mtl_split_train import cli_export, cli_train

CONFIG: dict[str, Any] = {
    'bundle': {'name': 'made', 'version': '0.1.0', 'description': 'For a test.', 'licence': 'none'},
    'network': {
        'backbone': 'mobilenet_v3_small',
        'stage': 4,
        'channels': 8,
        'stride': 16,
        'width': 32,
        'depth': 1,
        'head_width': 32,
    },
    'data': {'input_width': 64, 'input_height': 48, 'crop_width': 64, 'crop_height': 48},
    'rates': {'targets': [80, 120], 'default': 1},
    'schedule': {'epochs': 20, 'batch_size': 2, 'validate_every': 5, 'warmup_epochs': 0.5},
}


def run(module: Any, *arguments: object) -> int:
    """Call a subcommand with its arguments."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    result: int = module.main(parser.parse_args([str(argument) for argument in arguments]))
    return result


def train(root: Path, *more: object, out: str = 'out') -> int:
    """Train what lies in a project folder."""
    return run(
        cli_train,
        *('--config', root / 'run.yaml', '--data', root / 'data', '--out', root / out),
        *('--accelerator', 'cpu', *more),
    )


def export(root: Path, folder: Path, *more: object) -> int:
    """Export the last checkpoint of a project folder."""
    checkpoint = root / 'out/checkpoints/last.ckpt'
    return run(
        cli_export,
        *('--checkpoint', checkpoint, '--data', root / 'data', '--out', folder, *more),
    )


def write_config(root: Path, **changes: dict[str, Any]) -> None:
    """Write run.yaml: CONFIG with some keys of its sections changed."""
    sections = CONFIG.keys() | changes.keys()
    content = {name: {**CONFIG.get(name, {}), **changes.get(name, {})} for name in sections}
    (root / 'run.yaml').write_text(yaml.safe_dump(content))


def write_data(root: Path) -> None:
    """Write four frames of noise to train on and two to validate."""
    make_dataset(root / 'data' / 'train', frames=4)
    make_dataset(root / 'data' / 'val', frames=2)
    random = np.random.default_rng(0)
    for path in sorted(root.glob('data/*/images/*.png')):
        noise = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(path), noise)


def make_project(root: Path) -> Path:
    """Write data and configuration, and train."""
    write_data(root)
    write_config(root)
    assert train(root) == 0
    return root
