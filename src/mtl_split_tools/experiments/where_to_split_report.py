# SPDX-License-Identifier: Apache-2.0
"""What `where-to-split` says in words: notes, table, where to cut, and the paper's claim."""

from collections.abc import Mapping, Sequence

from mtl_split_tools.console import MISSING, figure, kilobytes
from mtl_split_tools.experiments.claims import MTL_SPLIT, Claim, judge
from mtl_split_tools.experiments.frame import Result, Size, Table
from mtl_split_tools.experiments.where_to_split_choice import (
    WITHIN,
    first_below,
    keeping,
    least,
    mean,
    rival,
)
from mtl_split_train.published.channel_coding import ENOUGH
from mtl_split_train.published.cut_training import RIVAL, Budget, Training

_POINTS = f'{100 * WITHIN:.0f} point'


def notes(size: Size, budget: Budget, frames: str) -> list[str]:
    """Return what a reader of the figures has to know.

    Args:
        size: How much is measured.
        budget: What is trained.
        frames: Where those come from that the time is taken on.
    """
    trained = ', '.join(map(_length, budget.networks))
    return [
        'Two sizes of picture. Z_b, float32, edge ms and weights: 480x368 (smoke: 96x64), frames '
        f'of {frames}. Coded bytes and accuracy: the small drawn pictures that the networks are '
        'trained on.',
        'One training for each backbone, on drawn shapes, all tasks together: uncoded it is the '
        'same network at every cut. What differs is what coding Z_b there does to the answers. No '
        'network was trained for its coding, and none has a bottleneck.',
        'Coded: so many bits a value, each channel between its least and largest value over all '
        'frames, decoded, and the rest of the network run on that. Bytes: entropy of each '
        'channel under its own histogram over all frames, without the tables themselves; > where '
        f'a channel has fewer than {ENOUGH} values for each level, and so too little entropy.',
        f'Keeps the answers: mean accuracy of the tasks at most {_POINTS} below the uncoded one; '
        f'fewer than {min(budget.bits)} bits were not tried. Beside them the same pictures as '
        f'JPEG {RIVAL}, whatever the network, which saw none in training, makes of it. '
        'Figures are of the test pictures, hues of floor and wall that training does not have, '
        'after the last epoch. One seed: which bits a cut bears can differ by one step.',
        'Edge ms: processor time of the network up to the cut alone, ONNX Runtime, one thread, '
        'median; random weights, on which work does not depend.',
        f'Size {size}: {trained}; learning rate {budget.learning_rate:g}, batch '
        f'{budget.batch_size}. The paper: 30 epochs, 0.0001, 32; its code trains on 360,000 '
        'pictures.',
    ]


def report(results: Mapping[str, Result], bits: Sequence[int], tasks: Sequence[str]) -> Table:
    """Return a row for each cut, and before them one for each picture.

    Args:
        results: By backbone.
        bits: Of a value, that the cuts are coded by.
        tasks: Their names.
    """
    columns = (
        *('backbone', 'stage', 'ends with', 'Z_b', 'float32', 'edge ms', 'weights', 'Z_b, small'),
        f'uncoded: mean ({", ".join(tasks)})',
        *(f'{count} bits: bytes, mean ({", ".join(tasks)})' for count in bits),
        'keeps the answers',
    )
    rows = []
    for backbone, result in results.items():
        uncoded = _accuracy(result['uncoded'], tasks)
        for way in result['jpeg']:
            kept = 'yes' if least([way], result['uncoded']) else MISSING
            picture = (backbone, 'picture', f'JPEG {way["coarseness"]}', *[''] * 5, uncoded)
            rows.append((*picture, _way(way, tasks), *[''] * (len(bits) - 1), kept))
        rows += [
            (
                backbone,
                str(cut['stage']),
                cut['layer'],
                _shape(cut['shape']),
                kilobytes(cut['raw_bytes']),
                figure(cut['edge_ms'], 1),
                f'{cut["parameters"] * 4 / 1e6:.2f} MB',
                _shape(cut['answered_shape']),
                uncoded,
                *(_way(way, tasks) for way in cut['coded']),
                _least(cut, result),
            )
            for cut in result['cuts']
        ]
    return Table(columns, rows)


def describe(name: str, result: Result) -> str:
    """Return where to cut a backbone, beside its last cut.

    Args:
        name: Of the backbone.
        result: What it gave.
    """
    uncoded, chance = result['uncoded'], result['chance']
    tasks = ', '.join(f'{task} {share:.3f}' for task, share in uncoded.items())
    text = f'{name}: uncoded {tasks}, mean {mean(uncoded):.3f} (guessing {mean(chance):.3f})'
    picture = f'JPEG {RIVAL}, {_bytes(rival(result)["bytes"])}'
    found = first_below(result)
    if found:
        cut, way = found
        text += f'; cut after stage {cut["stage"]}, {_sends(cut, way)}: the first below {picture}'
    else:
        text += f'; no cut sends less than {picture}'
    end = result['cuts'][-1]
    last = least(end['coded'], uncoded)
    there = _sends(end, last) if last else f'no coding keeps the answers, {_ms(end)}'
    return f'{text}; after the last stage, where MTL-Split cuts, {there}.'


def judge_place(results: Mapping[str, Result]) -> list[Claim]:
    """Return what the figures say to the place where MTL-Split cuts.

    Args:
        results: By backbone.
    """
    times = {}
    for name, result in results.items():
        found = keeping(result)
        end = result['cuts'][-1]
        if found and found[-1][0] is end:
            smallest = min(float(way['bytes']) for _, way in found)
            times[name] = float(found[-1][1]['bytes']) / smallest
        elif found:
            times[name] = float('inf')
    if not times:
        return []
    shown = ', '.join(
        f'{"more than any" if t == float("inf") else f"{t:.1f}"} ({name})'
        for name, t in times.items()
    )
    return [
        Claim(
            MTL_SPLIT,
            'the place to cut is behind the last feature',
            'no other place is tried',
            f'coded as coarsely as keeps the mean accuracy within {_POINTS}, Z_b there is {shown} '
            'times the smallest Z_b of the backbone',
            judge(sum(t == 1 for t in times.values()), len(times)),
            'some last stages widen Z_b for a classifier, which the server could do as well; one '
            'seed, networks that are trained for minutes',
        )
    ]


def _length(training: Training) -> str:
    text = (
        f'{training.backbone} {training.pictures} pictures of {training.side} px and '
        f'{training.epochs} epochs, {training.test} test pictures'
    )
    return f'{text} (with batch norm, then folded in)' if training.normed else text


def _accuracy(accuracy: Mapping[str, float], tasks: Sequence[str]) -> str:
    each = ', '.join(figure(accuracy[task]) for task in tasks)
    return f'{figure(mean(accuracy))} ({each})'


def _way(way: Result, tasks: Sequence[str]) -> str:
    mark = '' if way['enough'] else '> '
    return f'{mark}{_bytes(way["bytes"])}, {_accuracy(way["accuracy"], tasks)}'


def _least(cut: Result, result: Result) -> str:
    way = least(cut['coded'], result['uncoded'])
    return f'{way["coarseness"]} bits, {_bytes(way["bytes"])}' if way else MISSING


def _sends(cut: Result, way: Result) -> str:
    return f'{_bytes(way["bytes"])} in {way["coarseness"]} bits, {_ms(cut)}'


def _ms(cut: Result) -> str:
    return f'{figure(cut["edge_ms"], 1)} ms on the edge'


def _bytes(value: float) -> str:
    return f'{value:.0f} B'


def _shape(shape: Sequence[int]) -> str:
    return 'x'.join(map(str, shape))
