# SPDX-License-Identifier: Apache-2.0
"""All pictures of a bench."""

from mtl_split_tools.bench_report.accuracy_plot import draw_accuracy
from mtl_split_tools.bench_report.delays_plot import draw_delays, draw_shares
from mtl_split_tools.bench_report.looks import AUTO, LOCAL, family, links_of, on_link
from mtl_split_tools.bench_report.reading import Run, delays_of, fps_of, stack_of
from mtl_split_tools.bench_report.stages_plot import draw_stages

NAMES = ('accuracy', 'delays', 'in_time', 'stages')
_PANELS = 3


def draw_all(run: Run) -> dict[str, bytes]:
    """Return a PNG for each of NAMES."""
    deadline_ms = run.summary['settings']['deadline_ms']
    links = links_of(run.rows)
    # The slowest link alone shows little but what does not arrive.
    shown = list(dict.fromkeys([links[0], *links[1:][-_PANELS:-1], *links[-1:]]))[:_PANELS]
    fastest = [
        row for row in on_link(run.rows, links[0]) if family(row['transport']) not in (AUTO, LOCAL)
    ]
    stacks = {row['transport']: stack_of(row) for row in fastest if row['stages_ms']}
    return {
        'accuracy': draw_accuracy(run.rows, fps_of(run.measured)),
        'delays': draw_delays(delays_of(run.measured), run.rows, shown, deadline_ms),
        'in_time': draw_shares(run.rows, deadline_ms),
        'stages': draw_stages(fastest, stacks),
    }
