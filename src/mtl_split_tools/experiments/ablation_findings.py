# SPDX-License-Identifier: Apache-2.0
"""What a run of `ablation` says beside the joint runs: whether it differs by more than a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl_split_tools.console import kilobytes
from mtl_split_tools.experiments.claims import LADON, Claim, judge
from mtl_split_tools.sweep.result import METRICS


def compare_default(name: str, facts: Mapping[str, Any], joint: Sequence[Mapping[str, Any]]) -> str:
    """Return how a training differs from the joint one at the default rate, as a sentence.

    Args:
        name: Of the training.
        facts: Its bytes and figures at that rate.
        joint: The same of each joint run, at least one.
    """
    sizes = [float(run['bytes_per_frame']) for run in joint]
    share = float(facts['bytes_per_frame']) / (sum(sizes) / len(sizes))
    parts = []
    for metric, title in METRICS.items():
        rivals = [float(run[metric]) for run in joint if run[metric] is not None]
        if facts[metric] is None or not rivals:
            continue
        above = 100 * (float(facts[metric]) - sum(rivals) / len(rivals))
        text = f'{title} {above:+.1f} points'
        if len(rivals) > 1:
            width = 100 * (max(rivals) - min(rivals))
            known = 'the seeds explain it' if abs(above) <= width else 'more than the seeds'
            text += f' (joint within {width:.1f}: {known})'
        parts.append(text)
    size = kilobytes(facts['bytes_per_frame'])
    return f'{name}, default rate: {size}, x {share:.2f} those of joint; {", ".join(parts)}.'


_CLAIMS = {
    'staged': (
        'a network for several tasks is to be trained stage after stage',
        'no joint training beside it',
        "not Ladon's own stages: backbone and tail unquantised first, then the bottleneck alone, "
        'in as many epochs as the joint training has; accuracy at the default rate decides',
    ),
    'separate': (
        'each rate takes a network of its own',
        'one checkpoint for each beta',
        'here each network of its own has as many epochs as the shared one has for all rates; '
        'accuracy at the default rate decides',
    ),
}


def judge_training(
    name: str, facts: Mapping[str, Any], joint: Sequence[Mapping[str, Any]]
) -> list[Claim]:
    """Return what a training says to Ladon's way of doing it; nothing for other trainings.

    It holds where each figure is better by more than joint's seeds differ, partly where one is.
    A figure that is 1 in every joint run can become no better, and does not count.

    Args:
        name: Of the training.
        facts: Its bytes and figures at the default rate.
        joint: The same of each joint run, two or more.
    """
    if name not in _CLAIMS or len(joint) < 2:
        return []
    better = []
    for metric in METRICS:
        rivals = [float(run[metric]) for run in joint if run[metric] is not None]
        if facts[metric] is not None and rivals and min(rivals) < 1:
            mean = sum(rivals) / len(rivals)
            better.append(float(facts[metric]) - mean > max(rivals) - min(rivals))
    if not better:
        return []
    claim, published, why = _CLAIMS[name]
    verdict = judge(sum(better), len(better))
    return [Claim(LADON, claim, published, compare_default(name, facts, joint), verdict, why)]
