# SPDX-License-Identifier: Apache-2.0
"""The figures of a run: summary.json and the table."""

import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from mtl_split_core.bundle import Bundle
from mtl_split_tools.accuracy import AccuracyMeter
from mtl_split_tools.console import figure, kilobytes, table
from mtl_split_tools.demo.clip import Clip
from mtl_split_tools.demo.recorded import EDGE_STAGES, RecordedResults
from mtl_split_tools.demo.run import RunFacts, result_topics

IN_TIME_MS = 100.0
PERCENTILES = {'p50': 50, 'p95': 95, 'p99': 99}


def measure(
    clip: Clip, bundle: Bundle, rate: int, results: RecordedResults, facts: RunFacts
) -> dict[str, Any]:
    """Return the content of summary.json; times in ms, sizes in bytes, fractions 0 to 1.

    Args:
        clip: What was published.
        bundle: What ran.
        rate: At which rate.
        results: What was answered.
        facts: What was measured around it.
    """
    sizes = [found.size for found in results.features.values()]
    edge = [sum(found.times.values()) for found in results.features.values()]
    server, whole = [], []
    features = facts.arrived.get('/features', {})
    for stamp in results.stamps:
        last = max(facts.arrived[topic][stamp] for topic in result_topics(bundle))
        if stamp in features:
            server.append((last - features[stamp]) / 1e6)
        if stamp in facts.published:
            whole.append((last - facts.published[stamp]) / 1e6)
    frames = len(facts.published)
    return {
        'frames_in': frames,
        'frames_out': len(results),
        'bundle': bundle.name,
        'rate': rate,
        'bytes_per_frame': float(np.mean(sizes)) if sizes else None,
        'edge_ms': _percentiles(edge),
        'server_ms': _percentiles(server),
        'end_to_end_ms': _percentiles(whole),
        'metrics': _metrics(clip, bundle, results),
        'bytes_per_frame_p95': float(np.percentile(sizes, 95)) if sizes else None,
        'bytes_per_frame_max': max(sizes, default=None),
        'jpeg_bytes_per_frame': float(np.mean(clip.sizes)) if clip.compressed else None,
        'in_time': sum(ms <= IN_TIME_MS for ms in whole) / frames if frames else None,
        'edge_stages_ms': {
            stage: _percentiles([found.times[stage] for found in results.features.values()])
            for stage in EDGE_STAGES
        },
        'edge_rss_mb': facts.edge_rss_mb,
        'server_rss_mb': facts.server_rss_mb,
        'fingerprint': f'{bundle.fingerprint:016x}',
        'clip': str(clip.path),
        'machine': f'{platform.machine()}, {len(os.sched_getaffinity(0))} cores',
    }


def summary_table(summary: dict[str, Any]) -> Table:
    """Return the figures for people."""
    metrics = summary['metrics']
    size = kilobytes(summary['bytes_per_frame'])
    if summary['jpeg_bytes_per_frame']:
        size += f' (the JPEG of the clip: {kilobytes(summary["jpeg_bytes_per_frame"])})'
    rows = [
        ('frames answered', f'{summary["frames_out"]} of {summary["frames_in"]}'),
        ('bytes per frame', size),
        *(
            (name, _times(summary[key]))
            for name, key in (
                ('edge', 'edge_ms'),
                ('server', 'server_ms'),
                ('picture in to results out', 'end_to_end_ms'),
            )
        ),
        ('stages of the edge, p50', _stages(summary['edge_stages_ms'])),
        (
            'memory',
            f'edge {figure(summary["edge_rss_mb"], 0)} MB, '
            f'server {figure(summary["server_rss_mb"], 0)} MB',
        ),
        (
            'mIoU, mAP50, accuracy',
            ', '.join(figure(metrics[key]) for key in ('miou', 'map50', 'accuracy')),
        ),
    ]
    title = f'{summary["bundle"]}, rate {summary["rate"]}'
    return table(title, ('', ''), rows)


def _metrics(clip: Clip, bundle: Bundle, results: RecordedResults) -> dict[str, Any]:
    """Accuracy of what was answered, as it was published: boxes from the bundle's threshold on."""
    if clip.labels is None:
        return {'miou': None, 'map50': None, 'accuracy': None}
    meter = AccuracyMeter(clip.labels, bundle)
    for stamp, sample in zip(clip.stamps, clip.labels.images, strict=True):
        if (found := results.get(stamp)) is not None:
            meter.add(sample, found)
    return dict(meter.metrics())


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return dict.fromkeys(PERCENTILES)
    return {name: float(np.percentile(values, at)) for name, at in PERCENTILES.items()}


def _times(found: dict[str, float | None]) -> str:
    return ', '.join(f'{name} {figure(value, 1)}' for name, value in found.items()) + ' ms'


def _stages(found: dict[str, dict[str, float | None]]) -> str:
    return ', '.join(f'{stage} {figure(times["p50"], 1)}' for stage, times in found.items()) + ' ms'
