# SPDX-License-Identifier: Apache-2.0
"""One `ros2 launch` of this package as a process."""

import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE_S = 30.0


class Launched:
    """One `ros2 launch`, ended with the test."""

    def __init__(self, environment: dict[str, str], output: Path) -> None:
        self._environment = environment
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, file: str, *arguments: str) -> None:
        with self._output.open('w') as output:
            self._process = subprocess.Popen(
                ['ros2', 'launch', 'mtl_split', file, *arguments],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, *texts: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not all(text in self.output for text in texts):
            assert time.monotonic() < deadline, f'{texts} did not all appear:\n{self.output}'
            time.sleep(0.1)

    def exit_status(self) -> int:
        assert self._process
        return self._process.wait(PATIENCE_S)

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(15)
            finally:
                if self._process.poll() is None:
                    os.killpg(self._process.pid, signal.SIGKILL)
