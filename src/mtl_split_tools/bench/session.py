# SPDX-License-Identifier: Apache-2.0
"""A rival in the lab of the link bench, with the same camera, consumer and link."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_edge.modes import AUTO
from mtl_split_tools.bench.other_bundles import Others
from mtl_split_tools.bench.plan import Turn, by_session
from mtl_split_tools.bench.rivals import parse_rival
from mtl_split_tools.bench.video import VideoDecoder
from mtl_split_tools.lab import Process, Published
from mtl_split_tools.lab.stations import Station
from mtl_split_tools.link_bench.frames import Frame
from mtl_split_tools.link_bench.session import CLIMB_S, DRAIN_S, RATE_HZ, SETTLE_S, Session

_START_S = 5.0
_MORE_S = 3.0  # to set the link, and to judge


class RivalSession(Session):
    """Camera, a rival's two sides and a consumer; use it as a context manager.

    Args:
        way: Name of the rival.
        bundle: Its network.
        folder: Gets logs and reports.
        deadline_s: Time of an image, seconds.
        loopback: Without a link, see Lab.
        environment: Added to that of the processes.
    """

    def __init__(
        self,
        way: str,
        bundle: Bundle,
        folder: Path,
        deadline_s: float,
        *,
        loopback: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._rival = parse_rival(way)
        self._decoder = VideoDecoder(self._rival.codec) if self._rival.codec else None
        self._seen = 0
        super().__init__(bundle, folder, deadline_s, loopback=loopback, environment=environment)

    def pictures(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield what the server saw of a video since the last call, by the way of its frame."""
        if self._decoder is None:
            return
        assert isinstance(self._server, Station)
        with self._server.report.with_suffix('.packets').open('rb') as packets:
            for line in list(self._server.lines('packet'))[self._seen :]:
                self._seen += 1
                offset, size = line['place']
                packets.seek(offset)
                picture = self._decoder.decode(packets.read(size))
                if picture is not None:
                    yield self._name(*line['stamp']), picture

    def _start(self) -> tuple[Process, Process]:
        words = ('--way', self._rival.name, '--bundle', str(self._bundle.path))
        lab = self._lab
        server = lab.process(Station, 'server', lab.server_host, 'bench.rival_server', *words)
        edge = lab.process(Process, 'edge', lab.edge_host, 'bench.rival_edge', *words)
        return server, edge

    def _prepare(self, way: str) -> None:  # noqa: ARG002
        self._lab.link.restore()
        self._lab.link.shape(None, None)

    def _named(self, image: Published, frame: Frame) -> Frame:
        if self._rival.codec and frame.delay_s is not None:
            return replace(frame, way=self._name(*image.stamp))
        return frame

    def _name(self, seconds: int, nanoseconds: int) -> str:
        return f'{self._rival.name}@{seconds}.{nanoseconds:09d}'


def estimate_s(turns: Sequence[Turn], images: int, others: Others | None = None) -> float:
    """Return about how long measurements take, seconds.

    Args:
        turns: The measurements.
        images: How many count in each.
        others: As of by_session().
    """
    one = images / RATE_HZ + DRAIN_S + _MORE_S
    settling = sum(CLIMB_S if turn.cell.way == AUTO else SETTLE_S for turn in turns)
    return len(turns) * one + settling + _START_S * len(list(by_session(turns, others)))
