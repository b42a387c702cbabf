# SPDX-License-Identifier: Apache-2.0
"""What the pictures share: the canvas, and labels beside what they name that do not overlap."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def canvas(width: float, height: float, title: str) -> Figure:
    """Return an empty figure, in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight='bold')
    return figure


def png(figure: Figure) -> bytes:
    """Return the picture."""
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    return data.getvalue()


def plain(axes: Axes) -> None:
    """Take away what tells nothing."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def spread(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move places apart so that what is written at them can be read.

    Args:
        places: Wanted places.
        distance: What must be between two of them.
        low: No place is below.
        high: No place is above, where there is room for all.

    Returns:
        Places in the order of the arguments.
    """
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved: list[float] = []
    for number in order:
        least = moved[-1] + distance if moved else low
        moved.append(max(places[number], least))
    ceiling = high
    for place in reversed(range(len(moved))):
        moved[place] = max(min(moved[place], ceiling), low)
        ceiling = moved[place] - distance
    found = dict(zip(order, moved, strict=True))
    return [found[number] for number in range(len(places))]
