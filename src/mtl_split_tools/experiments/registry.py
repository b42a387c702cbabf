# SPDX-License-Identifier: Apache-2.0
"""The experiments by name. Their modules are imported when they run: most need torch."""

from mtl_split_core.errors import DataError
from mtl_split_tools.cli import load_command
from mtl_split_tools.experiments.frame import Experiment, Size

# Name: (module with a class Experiment, line in the help).
EXPERIMENTS = {
    'where-to-split': (
        'mtl_split_tools.experiments.where_to_split',
        'every stage of each backbone: shape, bytes raw and coded, edge ms',
    ),
}


def make_experiment(name: str, size: Size, seed: int, data: str | None) -> Experiment:
    """Return an experiment.

    Args:
        name: Its name.
        size: How much to measure.
        seed: Of all that is random.
        data: Folder of the frames; the shipped clip if None.

    Raises:
        DataError: No experiment of this name.
        MtlSplitError: It needs something that is not installed.
    """
    if name not in EXPERIMENTS:
        msg = f"experiment '{name}' is not known; known are: {', '.join(sorted(EXPERIMENTS))}"
        raise DataError(msg)
    module = load_command(f'experiment {name}', EXPERIMENTS[name][0])
    made: Experiment = module.Experiment(size, seed, data)
    return made
