# SPDX-License-Identifier: Apache-2.0
"""A profile on the terminal."""

from rich.table import Table

from mtl_split_core.profile import Profile
from mtl_split_tools.console import figure, kilobytes, table


def profile_table(profile: Profile) -> Table:
    """Return a profile for people.

    Args:
        profile: The profile.
    """
    rows = (
        (
            point.name,
            point.mode,
            figure(point.edge_ms, 1),
            figure(point.server_ms, 1),
            *(
                kilobytes(size if point.codec else None)
                for size in (point.bytes_mean, point.bytes_p95, point.bytes_max)
            ),
            *(figure(value) for value in (point.miou, point.map50, point.accuracy)),
            figure(point.quality),
            figure(point.edge_memory_mb, 0),
        )
        for point in profile.points
    )
    columns = ('way', 'mode', 'edge ms', 'server ms', 'mean', 'p95', 'max')
    metrics = ('mIoU', 'mAP50', 'accuracy', 'mean of them', 'edge MB')
    title = f'profile on {profile.machine}, {profile.frames} frames'
    return table(title, columns + metrics, rows)
