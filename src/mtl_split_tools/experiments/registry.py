# SPDX-License-Identifier: Apache-2.0
"""The experiments by name. Their modules are imported when they run: most need torch."""

from collections.abc import Sequence

from mtl_split_core.errors import DataError
from mtl_split_tools.cli import load_command
from mtl_split_tools.experiments.frame import Experiment, Size, TakesBundles

# Name: (module with a class Experiment, line in the help).
EXPERIMENTS = {
    'ablation': (
        'mtl_split_tools.experiments.ablation',
        'joint or staged, rate term, shared weights, teacher: trains each',
    ),
    'comparisons': (
        'mtl_split_tools.experiments.comparisons',
        'three tasks together, each alone, a lone detector: trains each',
    ),
    'continued': (
        'mtl_split_tools.experiments.continued',
        'the network that ships, trained on for three tasks or for one alone: trains each',
    ),
    'loc-roc-sc': (
        'mtl_split_tools.experiments.loc_roc_sc',
        'local-only, remote-only and split computing: memory, bytes, work, latency per link',
    ),
    'mtl-vs-stl': (
        'mtl_split_tools.experiments.mtl_vs_stl',
        'each task alone against all together, on drawn shapes and on CamVid: trains each',
    ),
    'rate-accuracy': (
        'mtl_split_tools.experiments.rate_accuracy',
        'three tasks against kB a frame: Z_b of bundles, JPEG, WebP',
    ),
    'one-vs-three': (
        'mtl_split_tools.experiments.one_vs_three',
        'one network for all tasks against one for each: latency, edge work, bytes per link',
    ),
    'where-to-split': (
        'mtl_split_tools.experiments.where_to_split',
        'every stage of each backbone: bytes raw and coded, edge ms, accuracy: trains each',
    ),
}


def make_experiment(
    name: str, size: Size, seed: int, data: str | None, bundles: Sequence[str] = ()
) -> Experiment:
    """Return an experiment.

    Args:
        name: Its name.
        size: How much to measure.
        seed: Of all that is random.
        data: Folder of the frames; the shipped clip if None.
        bundles: What to measure besides, for experiments that measure bundles.

    Raises:
        DataError: No experiment of this name, or one that measures no bundles.
        MtlSplitError: It needs something that is not installed.
    """
    if name not in EXPERIMENTS:
        msg = f"experiment '{name}' is not known; known are: {', '.join(sorted(EXPERIMENTS))}"
        raise DataError(msg)
    module = load_command(f'experiment {name}', EXPERIMENTS[name][0])
    made: Experiment = module.Experiment(size, seed, data)
    if bundles:
        if not isinstance(made, TakesBundles):
            msg = f'experiment {name} measures no bundles: leave --bundle out'
            raise DataError(msg)
        made.take_bundles(bundles)
    return made
