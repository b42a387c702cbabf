# SPDX-License-Identifier: Apache-2.0
"""A process in one of the hosts: to be watched, stalled, killed, and never left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mtl_split_tools.lab.hosts import Host, LabError, leashed

START_S = 30.0
END_S = 3.0
_POLL_S = 0.01
_TICKS = os.sysconf('SC_CLK_TCK')


def wait_for(condition: Callable[[], object], what: str, timeout_s: float) -> None:
    """Wait until a condition holds.

    Raises:
        LabError: It did not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            msg = f'waited {timeout_s:g} s for {what}'
            raise LabError(msg)
        time.sleep(_POLL_S)


class Process:
    """A running process; stdout and stderr go to a file, stdin is a pipe for commands.

    Args:
        name: What to call it.
        host: Where it runs.
        command: Program and arguments.
        environment: All of its environment.
        log: File for its output.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self.name = name
        self.host = host
        self._log = log
        with log.open('wb') as output:
            # a session of its own: Ctrl-C reaches it through us alone
            self._process = subprocess.Popen(
                [*host.entry, *leashed(*command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )
        # nsenter, setpriv and sh become the program, so this is its own number
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended; one that is stalled has not."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors='replace')

    @property
    def rss_mb(self) -> float:
        """Resident size now, MB (10^6 bytes)."""
        line = self._proc('status').split('VmRSS:')[-1].split()
        return int(line[0]) * 1024 / 1e6

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads so far, seconds."""
        fields = self._proc('stat').rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def wait_for_log(self, text: str, timeout_s: float = START_S) -> None:
        """Wait until it has printed a text.

        Raises:
            LabError: It ended, or did not in time; its last line is in the message.
        """
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            if not self.alive or time.monotonic() > deadline:
                said = (self.log.strip().splitlines() or ['nothing'])[-1]
                state = f'did not say {text!r} in {timeout_s:g} s' if self.alive else 'ended'
                msg = f'{self.name} {state}; it said: {said} (see {self._log})'
                raise LabError(msg)
            time.sleep(_POLL_S)

    def say(self, line: str) -> None:
        """Send it a line.

        Raises:
            LabError: It has ended.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(line.encode() + b'\n')
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            msg = f'{self.name} has ended, and cannot be told {line!r} (see {self._log})'
            raise LabError(msg) from error

    def stall(self) -> None:
        """Stop it in its tracks (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a stall."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it (SIGKILL), as a power cut does."""
        self._process.kill()
        self._forget()

    def end(self, grace_s: float = END_S) -> int:
        """Interrupt it, and kill it when it does not end in time.

        Returns:
            Its exit code.
        """
        self._process.send_signal(signal.SIGINT)
        self.go_on()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._forget()

    def _forget(self) -> int:
        code = self._process.wait()
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        return code

    def _proc(self, name: str) -> str:
        try:
            return Path(f'/proc/{self.pid}/{name}').read_text(encoding='ascii', errors='replace')
        except OSError as error:
            msg = f'{self.name} has ended (see {self._log})'
            raise LabError(msg) from error
