# SPDX-License-Identifier: Apache-2.0
"""The measured parts of docs/codec.md."""

import os
import platform
from collections.abc import Mapping, Sequence

from mtl_split_core.codec_ids import CodecId
from mtl_split_tools.console import figure
from mtl_split_tools.marked import markdown
from mtl_split_tools.sweep.coding import KEY_EVERY, STEPS, Cost
from mtl_split_tools.sweep.result import (
    BD_COLUMNS,
    EQUAL_COLUMNS,
    METRICS,
    Sweep,
    bd_rate_rows,
    equal_rows,
)

PARTS = (
    'measured',
    'rates',
    'codecs',
    'bd-rate',
    'equal-accuracy',
    'contexts',
    'temporal',
)
"""Names of the measured parts."""


def blocks(
    sweep: Sweep, costs: Sequence[Cost], contexts: Sequence[Mapping[str, float]]
) -> dict[str, str]:
    """Return the text of each part by its name.

    Args:
        sweep: Figures of all ways.
        costs: From measure_codecs().
        contexts: From measure_contexts().
    """
    bundle = sweep.bundle
    texts = (
        (
            f'Bundle `{bundle.name}` {bundle.version} (fingerprint `{bundle.fingerprint:016x}`), '
            f'{sweep.frames} frames of `{sweep.data}`, {platform.machine()} with {os.cpu_count()} '
            'cores. kB are 1000 bytes.'
        ),
        _rates(sweep, costs),
        _codecs(sweep, costs),
        markdown(BD_COLUMNS, bd_rate_rows(sweep)),
        markdown(EQUAL_COLUMNS, equal_rows(sweep)),
        _contexts(contexts),
        _temporal(contexts),
    )
    return dict(zip(PARTS, texts, strict=True))


def _rates(sweep: Sweep, costs: Sequence[Cost]) -> str:
    rows = []
    for cost in costs:
        if cost.codec is not CodecId.ENTROPY:
            continue
        facts = sweep.done[f'split:{cost.rate}'].document()
        sizes = (facts[f'bytes_per_frame{end}'] for end in ('', '_p95', '_max'))
        rows.append(
            (
                f'{cost.rate}{" (default)" * (cost.rate == sweep.bundle.default_rate)}',
                *(f'{size:.0f}' for size in sizes),
                f'{cost.overhead:+.2%}',
                figure(cost.encode_ms, 2),
                figure(cost.decode_ms, 2),
                *_metrics(sweep, f'split:{cost.rate}'),
            )
        )
    raw = sweep.done['raw'].document()['bytes_per_frame']
    rows.append(('uncompressed picture', f'{raw:.0f}', *[''] * 5, *_metrics(sweep, 'raw')))
    columns = ('rate', 'bytes, mean', 'p95', 'max', 'above the tables', 'encode, ms', 'decode, ms')
    return markdown(columns + tuple(METRICS.values()), rows)


def _codecs(sweep: Sweep, costs: Sequence[Cost]) -> str:
    rows = []
    for cost in costs:
        if cost.rate != sweep.bundle.default_rate:
            continue
        way = f'split:{cost.rate}' if cost.codec is CodecId.ENTROPY else cost.codec.name.lower()
        rows.append(
            (
                f'`{cost.codec.name.lower()}`',
                *(f'{size:.0f}' for size in (cost.sizes.mean(), cost.sizes.max())),
                figure(cost.encode_ms, 2),
                figure(cost.decode_ms, 2),
                f'{cost.largest_error:.2g}',
                *_metrics(sweep, way),
            )
        )
    columns = ('codec', 'bytes, mean', 'max', 'encode, ms', 'decode, ms', 'largest error of Z_b')
    return markdown(columns + tuple(METRICS.values()), rows)


def _metrics(sweep: Sweep, way: str) -> tuple[str, ...]:
    """Return the accuracies, with the distance to the uncompressed picture in points."""
    cells = []
    for metric in METRICS:
        value, raw = sweep.value(way, metric), sweep.value('raw', metric)
        text = figure(value)
        if way != 'raw' and value is not None and raw is not None:
            text += f' ({100 * (value - raw):+.1f})'
        cells.append(text)
    return tuple(cells)


def _contexts(contexts: Sequence[Mapping[str, float]]) -> str:
    rows = [
        (
            f'{row["rate"]:.0f}',
            *(f'{row[key]:.0f}' for key in ('static', 'sent')),
            f'{row["sent"] / row["static"] - 1:+.1%}',
        )
        for row in contexts
    ]
    return markdown(('rate', 'one table a channel', 'with contexts', 'saves'), rows)


def _temporal(contexts: Sequence[Mapping[str, float]]) -> str:
    keys = [f'previous_{step}' for step in STEPS]
    rows = [
        (
            f'{row["rate"]:.0f}',
            *(f'{row[key]:.0f}' for key in ('none', 'passes', *keys)),
            *(f'{row[keys[0]] / row[other] - 1:+.0%}' for other in ('none', 'passes')),
        )
        for row in contexts
    ]
    columns = ('rate', 'each on its own', 'and with three passes')
    steps = [f'key every {KEY_EVERY}, else {step} before' for step in STEPS]
    return markdown((*columns, *steps, 'saves', 'on top of three passes'), rows)
