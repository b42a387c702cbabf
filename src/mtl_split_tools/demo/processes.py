# SPDX-License-Identifier: Apache-2.0
"""Child processes that are watched while they run and never outlive the demo."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl_split_core.errors import MtlSplitError

GRACE_S = 1.5  # with the kill that follows, everything is gone within two seconds
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and the file that has its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def peak_rss_mb(self) -> float | None:
        """Largest resident size so far, MB (10^6 bytes); None when it has ended."""
        try:
            status = Path(f'/proc/{self.process.pid}/status').read_text(encoding='ascii')
        except OSError:
            return None
        peak = next((line for line in status.splitlines() if line.startswith('VmHWM')), None)
        return int(peak.split()[1]) * 1024 / 1e6 if peak else None

    def say(self, line: str) -> None:
        """Write a line to its stdin, where that is a pipe."""
        if self.process.stdin is not None:
            self.process.stdin.write(line.encode() + b'\n')
            self.process.stdin.flush()

    def complaint(self) -> str:
        """Return the line of its output that says what went wrong."""
        lines = [line.strip() for line in self.log.read_text(errors='replace').splitlines()]
        lines = [line for line in lines if line]
        marked = [line for line in lines if line.startswith((f'{self.name}: ', 'mtl-split: '))]
        return (marked or lines or ['it said nothing'])[-1]


class Children:
    """All child processes of one run.

    Args:
        logs: Folder for their output.
        environment: Theirs.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = dict(environment)
        self._children: dict[str, Child] = {}

    def start(self, name: str, command: Sequence[str | Path], piped: bool = False) -> Child:
        """Start a process in a session of its own, so that Ctrl-C reaches it through us alone.

        Args:
            name: What to call it.
            command: Program and arguments.
            piped: Whether its stdin and stdout are pipes to us; else stdout goes to the log.
        """
        log = self._logs / f'{name}.log'
        with log.open('wb') as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        child = self._children[name] = Child(name, process, log)
        return child

    def check(self, may_end: Sequence[str] = ()) -> None:
        """Raise when a process has ended that should not have.

        Args:
            may_end: Names of those that may end with success.

        Raises:
            MtlSplitError: Names the process and says what it said.
        """
        for child in self._children.values():
            status = child.process.poll()
            if status is None or (status == 0 and child.name in may_end):
                continue
            msg = f'{child.name} ended with {status}: {child.complaint()} (see {child.log})'
            raise MtlSplitError(msg)

    def ended(self, name: str) -> bool:
        """Say whether a process has ended."""
        return self._children[name].process.poll() is not None

    def stop(self, *names: str, grace_s: float = GRACE_S) -> None:
        """Interrupt processes (all, if none is named), and kill what has not ended in time."""
        chosen = [self._children[name] for name in names] or list(self._children.values())
        for child in chosen:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if all(child.process.poll() is not None for child in chosen):
                break
            time.sleep(_POLL_S)
        for child in chosen:
            if child.process.poll() is None:
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
            for pipe in (child.process.stdin, child.process.stdout):
                if pipe is not None:
                    pipe.close()
