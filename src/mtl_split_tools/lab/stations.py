# SPDX-License-Identifier: Apache-2.0
"""Camera and consumer as the lab sees them: their commands, and what they wrote down."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_tools.lab.hosts import Host, LabError
from mtl_split_tools.lab.processes import Process, wait_for
from mtl_split_tools.lab.stream import Answer, Finding, FrameFate, Published

_SET_S = 30.0


class Station(Process):
    """A process that writes lines of JSON.

    Args:
        name: What to call it.
        host: Where it runs.
        command: Program and arguments; `--report FILE` is added.
        environment: All of its environment.
        log: File for its output; the report lies beside it.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self.report = log.with_suffix('.jsonl')
        self.report.unlink(missing_ok=True)
        self._read = 0
        self._lines: list[dict[str, Any]] = []
        super().__init__(name, host, [*command, '--report', str(self.report)], environment, log)

    def lines(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield what it wrote of one kind so far."""
        if self.report.exists():
            with self.report.open('rb') as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b'\n'):
                        break
                    self._read += len(line)
                    self._lines.append(json.loads(line))
        # as a list: reading on while it is walked through would move the end away
        return iter([line for line in self._lines if line['kind'] == kind])


class Camera(Station):
    """Publishes the clip; commands are those of mtl_split_tools.lab.camera."""

    def published(self, since: float = 0.0) -> list[Published]:
        """Return the images from a moment on, monotonic seconds."""
        return [
            Published((line['stamp'][0], line['stamp'][1]), line['at'], line['index'], line['good'])
            for line in self.lines('image')
            if line['at'] >= since
        ]


class Consumer(Station):
    """Receives answers, fates and diagnostics."""

    def answers(self, topic: str = 'detections', since: float = 0.0) -> list[Answer]:
        """Return the results on a topic, from a moment on."""
        return [
            Answer((line['stamp'][0], line['stamp'][1]), line['at'])
            for line in self.lines(topic)
            if line['at'] >= since
        ]

    def wait_for_answers(self, count: int, since: float = 0.0, timeout_s: float = 30.0) -> None:
        """Wait until so many detections arrived after a moment.

        Raises:
            LabError: They did not in time.
        """
        what = f'{count} answers'
        wait_for(lambda: len(self.answers(since=since)) >= count, what, timeout_s)

    def fates(self, since: float = 0.0) -> list[FrameFate]:
        """Return what the edge said of each image, from a moment on."""
        return [
            FrameFate((line['stamp'][0], line['stamp'][1]), *self._fields(line))
            for line in self.lines('frame_status')
            if line['at'] >= since
        ]

    def findings(self, name: str, since: float = 0.0) -> list[Finding]:
        """Return the diagnostics of a name, as in 'edge: link', from a moment on."""
        return [
            Finding(line['at'], line['name'], line['level'], line['message'], line['values'])
            for line in self.lines('diagnostics')
            if line['name'] == name and line['at'] >= since
        ]

    def set(self, node: str, **values: bool | float | str) -> None:
        """Set parameters of a running node.

        Raises:
            LabError: It refused them, or did not answer in time.
        """
        asked = len(list(self.lines('set')))
        self.say(json.dumps({'node': node, 'values': values}))
        wait_for(lambda: len(list(self.lines('set'))) > asked, f'{node} to take {values}', _SET_S)
        reasons = list(self.lines('set'))[asked]['reasons']
        if reasons:
            msg = f'{node} refused {values}: {"; ".join(reasons)}'
            raise LabError(msg)

    @staticmethod
    def _fields(line: Mapping[str, Any]) -> list[Any]:
        names = ('at', 'outcome', 'mode', 'way', 'reason', 'bytes', 'expected_ms', 'elapsed_ms')
        return [line[name] for name in names]
