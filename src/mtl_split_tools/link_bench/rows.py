# SPDX-License-Identifier: Apache-2.0
"""The figures of a measurement, as summary.json has them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtl_split_edge.fates import Outcome
from mtl_split_tools.link_bench.frames import Frame, Measured
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import Condition

GOALS = {'10': (0.99, 1.0), '1': (0.98, 2.0), '0.3': (0.95, 5.0)}
"""By link: least share in time, and most points of any metric below the uncompressed picture."""
FALLBACK_MS_GOAL = 200.0
"""From the first deadline missed at a cut to the next answer; from then on no image is missed."""
FEWER_MISSES_GOAL = 0.2
"""Share of the misses of the best fixed way over a trace."""
_ANSWERED = (Outcome.ANSWERED_BY_EDGE, Outcome.ANSWERED_BY_SERVER)


def make_row(measured: Measured, judge: Judge, deadline_s: float) -> dict[str, Any]:
    """Return the figures; shares and accuracy 0 to 1, times in ms, sizes in bytes per image.

    Args:
        measured: The measurement.
        judge: Knows the truth.
        deadline_s: Time of an image, seconds.
    """
    frames = measured.frames
    count = len(frames)
    good = [frame for frame in frames if frame.in_time(deadline_s)]
    delays = [frame.delay_s * 1e3 for frame in frames if frame.delay_s is not None]
    given = [(frame.index, frame.way) for frame in good if frame.way]
    lost = [frame for frame in frames if frame.delay_s is None]
    return {
        'link': measured.link,
        'transport': measured.way,
        'frames': count,
        'in_time': len(good) / count,
        'answered': len(delays) / count,
        'by_edge': sum(frame.outcome is Outcome.ANSWERED_BY_EDGE for frame in good) / count,
        'ways': dict(Counter(frame.way.partition('@')[0] for frame in good).most_common()),
        'disorder': measured.disorder,
        'not_answered': dict(Counter(map(_why, lost)).most_common()),
        'bytes_app': sum(frame.bytes for frame in frames) / count,
        'bytes_wire': measured.bytes_up / count,
        'bytes_wire_back': measured.bytes_down / count,
        'end_to_end_ms': percentiles(delays),
        'stages_ms': measured.stages_ms,
        'edge_cpu_ms': measured.edge_cpu_s / count * 1e3,
        'server_cpu_ms': measured.server_cpu_s / count * 1e3,
        'edge_rss_mb': measured.edge_rss_mb,
        'server_rss_mb': measured.server_rss_mb,
        **judge.metrics(given),
        'streaming_miou': judge.streaming_miou(frames, deadline_s, measured.before),
    }


def link_figures(condition: Condition, measured: Measured, deadline_s: float) -> dict[str, Any]:
    """Return what a row says of its link, and how the edge took a cut.

    Args:
        condition: The link.
        measured: The measurement over it.
        deadline_s: Time of an image, seconds.
    """
    if not condition.cut:
        return {'link_mbit': condition.up_mbit, 'link_down_mbit': condition.down_mbit}
    return {'link_mbit': 0.0, 'link_down_mbit': 0.0, **cut_figures(measured, deadline_s)}


def cut_figures(measured: Measured, deadline_s: float) -> dict[str, float | None]:
    """Return how the edge took a cut, in ms.

    `fallback_ms` is from the first missed deadline to the next answer, `missed_later` the images
    missed that were published after that answer, `gap_ms` the longest time between two answers,
    `return_ms` from the end of the cut to the first answer of the server.

    Args:
        measured: Begins with the cut.
        deadline_s: Time of an image, seconds.
    """
    frames = [*measured.before, *measured.frames]
    arrivals = sorted(f.at + f.delay_s for f in frames if f.delay_s is not None)
    missed_at = [f.at for f in measured.frames if not f.in_time(deadline_s)]
    missed = [at + deadline_s for at in missed_at]
    first = next((moment for moment in arrivals if missed and moment > missed[0]), None)
    end = max((frame.at for frame in frames), default=measured.begin) + deadline_s
    gaps = np.diff([*arrivals, end]) if arrivals else np.array([end - measured.begin])
    returned = next(
        (
            f.at + f.delay_s
            for f in measured.after
            if f.outcome is Outcome.ANSWERED_BY_SERVER and f.delay_s is not None
        ),
        None,
    )
    fallback = 0.0 if not missed else None if first is None else (first - missed[0]) * 1e3
    back = None
    if returned is not None and measured.restored is not None:
        back = (returned - measured.restored) * 1e3
    return {
        'fallback_ms': fallback,
        'missed_later': 0 if first is None else sum(at > first for at in missed_at),
        'gap_ms': float(gaps.max()) * 1e3,
        'return_ms': back,
    }


def compare_traces(rows: Sequence[dict[str, Any]], margin: float = 0.01) -> dict[str, Any] | None:
    """Set mode auto beside the best fixed way over a trace.

    Args:
        rows: Figures of auto and of fixed ways over the same trace.
        margin: Difference of mIoU up to which two ways are equally accurate.

    Returns:
        The fixed way with the fewest misses among those as accurate as auto, and by which share
        auto misses fewer; None without one.
    """
    auto = next(row for row in rows if row['transport'] == 'auto')
    least = (auto['miou'] or 0.0) - margin
    fixed = [row for row in rows if row is not auto and (row['miou'] or 0.0) >= least]
    if not fixed:
        return None
    best = max(fixed, key=lambda row: row['in_time'])
    misses, others = 1 - auto['in_time'], 1 - best['in_time']
    return {
        'best_fixed': best['transport'],
        'misses': misses,
        'misses_best_fixed': others,
        'fewer_misses': 1 - misses / others if others else None,
    }


def judge_goals(
    rows: Sequence[dict[str, Any]], uncompressed: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Set mode auto beside its goals.

    Args:
        rows: Of make_row() and link_figures().
        uncompressed: Metrics of the network on the pictures as they are.

    Returns:
        For each link: share in time and points of accuracy lost, each with its goal; for the cut
        the fallback and what was missed after it. `text` says it in words.
    """
    found = []
    for row in rows:
        if row['transport'] == 'auto' and 'fallback_ms' in row:
            found.append(_judge_cut(row))
        if row['transport'] == 'auto' and (goal := GOALS.get(row['link'])):
            losses = [
                (uncompressed[key] - row[key]) * 100
                for key in ('miou', 'map50', 'accuracy')
                if uncompressed[key] is not None and row[key] is not None
            ]
            lost = max(losses, default=None)
            points = 'no accuracy' if lost is None else f'{lost:.1f} points lost'
            found.append(
                {
                    'link': row['link'],
                    'in_time': row['in_time'],
                    'in_time_goal': goal[0],
                    'points_lost': lost,
                    'points_lost_goal': goal[1],
                    'met': row['in_time'] >= goal[0] and lost is not None and lost <= goal[1],
                    'text': f'auto over {row["link"]} Mbit/s, {row["in_time"]:.1%} in time (goal '
                    f'{goal[0]:.0%}), {points} (goal {goal[1]:g})',
                }
            )
    return found


def judge_trace(name: str, compared: dict[str, Any]) -> dict[str, Any]:
    """Set what compare_traces() found beside its goal.

    Args:
        name: Of the trace.
        compared: Of compare_traces().
    """
    fewer, best = compared['fewer_misses'], compared['best_fixed']
    mine, others = compared['misses'], compared['misses_best_fixed']
    return {
        'trace': name,
        'fewer_misses': fewer,
        'fewer_misses_goal': FEWER_MISSES_GOAL,
        # without a miss there is nothing to be better at
        'met': not mine if fewer is None else fewer >= FEWER_MISSES_GOAL,
        'text': f'auto over the trace {name} misses {mine:.1%}, the best fixed way as accurate '
        f'({best}) {others:.1%} (goal {FEWER_MISSES_GOAL:.0%} less)',
    }


def _judge_cut(row: dict[str, Any]) -> dict[str, Any]:
    fallback, later = row['fallback_ms'], row['missed_later']
    took = 'no answer' if fallback is None else f'the next answer after {fallback:.0f} ms'
    return {
        'link': row['link'],
        'fallback_ms': fallback,
        'fallback_ms_goal': FALLBACK_MS_GOAL,
        'missed_later': later,
        'met': fallback is not None and fallback <= FALLBACK_MS_GOAL and not later,
        'text': f'auto at the cut, {took} (goal {FALLBACK_MS_GOAL:.0f}), {later} images missed '
        'behind it (goal 0)',
    }


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99; None without values."""
    if not values:
        return dict.fromkeys(('p50', 'p95', 'p99'))
    p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
    return {'p50': p50, 'p95': p95, 'p99': p99}


def _why(frame: Frame) -> str:
    if frame.outcome is None:
        return 'not told'
    if frame.outcome in _ANSWERED:
        return 'answered, but lost or overtaken on its way'
    name = frame.outcome.name.lower()
    return name if frame.outcome is Outcome.MISSED else f'{name}: {frame.reason}'
