# SPDX-License-Identifier: Apache-2.0
"""Where the viewer shows what: the names in the recording, and the panels over them."""

import rerun as rr
import rerun.blueprint as rrb

STAMP, ARRIVAL = 'stamp', 'arrival'
CAMERA, LEGEND = 'camera', 'legend'
IMAGE, MASK, BOXES = f'{CAMERA}/image', f'{CAMERA}/mask', f'{CAMERA}/boxes'
BYTES, LATENCY, RATE = 'plots/bytes', 'plots/latency', 'plots/rate'
STATES, EVENTS = 'states', 'events'


def layout(timeline: str) -> rrb.Blueprint:
    """Return the panels.

    Args:
        timeline: STAMP, on which a picture and its results meet exactly, or ARRIVAL, which never
            jumps back.
    """
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Spatial2DView(origin=CAMERA, name='camera, mask and boxes'),
                rrb.Spatial2DView(
                    origin=MASK,
                    name='mask',
                    overrides={MASK: rr.SegmentationImage.from_fields(opacity=1.0)},
                ),
                rrb.Vertical(
                    rrb.Spatial2DView(origin=f'{LEGEND}/mask', name='classes of the mask'),
                    rrb.Spatial2DView(origin=f'{LEGEND}/boxes', name='of the boxes'),
                    row_shares=[2, 1],
                ),
                column_shares=[4, 4, 1.2],
            ),
            rrb.Horizontal(
                rrb.TimeSeriesView(origin=BYTES, name='bytes per frame'),
                rrb.TimeSeriesView(origin=LATENCY, name='milliseconds'),
                rrb.TimeSeriesView(origin=RATE, name='frames per second'),
            ),
            rrb.Horizontal(
                rrb.StateTimelineView(origin=STATES, name='mode, way and answerer'),
                rrb.TextLogView(origin=EVENTS, name='events'),
            ),
            row_shares=[5, 2, 2.3],
        ),
        rrb.BlueprintPanel(state='hidden'),
        rrb.SelectionPanel(state='hidden'),
        rrb.TimePanel(state='collapsed', timeline=timeline),
    )
