# SPDX-License-Identifier: Apache-2.0
"""What experiments that train have in common: configurations, their changes, runs and figures."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_tools.console import figure, progress_bar
from mtl_split_tools.evaluation import Stages, evaluate
from mtl_split_tools.experiments.extents import config_path
from mtl_split_tools.experiments.frame import Result, Size
from mtl_split_tools.experiments.made_data import make_data
from mtl_split_tools.sweep.bd_rate import Point
from mtl_split_tools.sweep.result import METRICS, sweep_ways
from mtl_split_train.config import parse_config, read_config
from mtl_split_train.formats import read_split
from mtl_split_train.trial import Trial, count_parameters, export_trial, train_trial

_KEPT = ('frames', 'bytes_per_frame', 'bytes_per_frame_max', 'map', *METRICS)


def load_base(size: Size, seed: int) -> dict[str, Any]:
    """Return the configuration that the rows of an experiment are changes of.

    Args:
        size: How much is trained.
        seed: Of the run.

    Raises:
        DataError: The file is missing or wrong.
    """
    path = config_path(f'trial-{size}.yaml')
    content = changed(read_config(path), {'schedule': {'seed': seed}})
    parse_config(content, str(path))
    return content


def describe_budget(base: Mapping[str, Any], size: Size) -> str:
    """Return a note that says how much each run of an experiment trains."""
    config = parse_config(base)
    picture = f'{config.data.input_width}x{config.data.input_height}'
    return (
        f'Size {size}: {config.schedule.epochs} epochs at {picture}, experiments/trial-{size}.yaml.'
    )


def changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with keys of its sections replaced.

    Args:
        content: The configuration.
        changes: Sections, and in them the keys that are other.
    """
    made: dict[str, Any] = copy.deepcopy(dict(content))
    for section, keys in changes.items():
        made[section] = {**made.get(section, {}), **keys}
    return made


def data_folder(data: str | None, size: Size, base: Mapping[str, Any], folder: Path) -> Path:
    """Return the folder with the splits: that given, a made one, or the configuration's.

    Args:
        data: What the user gave.
        size: With `smoke` and without `data`, a few pictures are made.
        base: The configuration.
        folder: Of the runs.
    """
    if data is not None:
        return Path(data)
    if size is Size.SMOKE:
        return make_data(folder / 'made-data')
    return Path(parse_config(base).data.root)


def measure_trial(trial: Trial, data: Path, folder: Path, wanted: Callable[[str], bool]) -> Result:
    """Train, export and measure on the frames of `val`.

    Args:
        trial: The run.
        data: Folder of the data set.
        folder: Of all runs.
        wanted: Says by its name, such as `split:0`, `raw` or `jpeg:25`, whether to measure a way.

    Returns:
        `parameters` of the network and `ways`, the figures by way.
    """
    checkpoint = train_trial(trial, data, folder)
    bundle = load_bundle(export_trial(checkpoint, data))
    config = parse_config(trial.config).data
    dataset = read_split(config.format, data, config.val)
    ways = sweep_ways(bundle, Stages(bundle, 1))
    ways = {name: way for name, way in ways.items() if wanted(name)}
    with progress_bar() as progress:
        task = progress.add_task(trial.name, total=len(ways) * len(dataset.images))
        pictures = (sample.image() for sample in dataset.images)
        done = evaluate(dataset, bundle, ways, pictures, lambda: progress.advance(task))
    found = {name: evaluation.document() for name, evaluation in done.items()}
    return {
        'parameters': count_parameters(checkpoint),
        'ways': {name: {key: facts[key] for key in _KEPT} for name, facts in found.items()},
    }


def points(result: Result, kind: str, metric: str) -> list[Point]:
    """Return bytes and accuracy of a result's ways of one kind, such as `split` or `jpeg`."""
    return sorted(
        (float(facts['bytes_per_frame']), float(facts[metric]))
        for name, facts in result['ways'].items()
        if name.startswith(f'{kind}:') and facts[metric] is not None
    )


def spread(values: Sequence[float | None]) -> str:
    """Return a mean, and where there are several values the least and the largest of them."""
    known = [value for value in values if value is not None]
    if not known:
        return figure(None)
    mean = figure(sum(known) / len(known))
    if len(known) == 1:
        return mean
    return f'{mean} ({figure(min(known))} to {figure(max(known))})'
