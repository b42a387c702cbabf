# SPDX-License-Identifier: Apache-2.0
"""A rival in the lab of the link bench, with the same camera, consumer and link."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation
from mtl_split_tools.bench.rivals import parse_rival
from mtl_split_tools.lab import Process, Published
from mtl_split_tools.lab.stations import Station
from mtl_split_tools.link_bench.frames import Frame
from mtl_split_tools.link_bench.session import Session


class RivalSession(Session):
    """Camera, a rival's two sides and a consumer; use it as a context manager.

    Args:
        way: Name of the rival.
        bundle: Its network.
        folder: Gets logs and reports.
        deadline_s: Time of an image, seconds.
        loopback: Without a link, see Lab.
    """

    def __init__(
        self, way: str, bundle: Bundle, folder: Path, deadline_s: float, *, loopback: bool = False
    ) -> None:
        self._rival = parse_rival(way)
        super().__init__(bundle, folder, deadline_s, loopback=loopback)

    def answers(self) -> Iterator[tuple[str, FrameResults]]:
        """Yield what was answered to a video, by the way that its frame has."""
        assert isinstance(self._server, Station)
        masks = self._server.report.with_suffix('.masks')
        for line in self._server.lines('answer') if self._rival.codec else ():
            offset, height, width = line['mask']
            mask = np.fromfile(masks, np.uint8, height * width, offset=offset)
            boxes = np.array(line['boxes'], np.float32).reshape(-1, 4)
            found = Detections(
                boxes,
                np.array(line['scores'], np.float32),
                np.array(line['class_ids'], np.int32),
            )
            tasks = line['tasks'].items()
            yield (
                self._name(*line['stamp']),
                FrameResults(
                    found,
                    Segmentation(mask.reshape(height, width)),
                    tuple(Classification(task, np.array(s, np.float32)) for task, s in tasks),
                    {},
                ),
            )

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
