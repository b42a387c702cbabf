# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that looks at a page, spoken to in the DevTools protocol over two pipes."""

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
OPTIONS = (
    '--headless',
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    # draws in software: there is no screen, and often no GPU
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--window-size=1600,1000',
    '--remote-debugging-pipe',
)


def find_browser() -> str | None:
    """Return the command of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The page that a browser shows.

    Args:
        commands: Pipe to the browser.
        answers: Pipe from it.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._received = b''
        self._count = 0
        self._session: dict[str, str] = {}
        targets = self._ask('Target.getTargets')['targetInfos']
        page = next(target['targetId'] for target in targets if target['type'] == 'page')
        answer = self._ask('Target.attachToTarget', targetId=page, flatten=True)
        self._session = {'sessionId': answer['sessionId']}

    def screenshot(self, path: Path) -> NDArray[np.uint8]:
        """Return what the page looks like now, BGR uint8 [H, W, 3], and keep it in a file."""
        data = base64.b64decode(self._ask('Page.captureScreenshot')['data'])
        path.write_bytes(data)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(picture, np.uint8)

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        command = {'id': self._count, 'method': method, 'params': parameters, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b'\0')
        while True:
            answer = json.loads(self._next())
            if answer.get('id') == self._count:
                assert 'result' in answer, answer
                result: dict[str, Any] = answer['result']
                return result

    def _next(self) -> bytes:
        while b'\0' not in self._received:
            part = os.read(self._answers, 1 << 20)
            assert part, 'the browser has ended'
            self._received += part
        message, _, self._received = self._received.partition(b'\0')
        return message


@contextmanager
def opened(browser: str, address: str, profile: Path) -> Iterator[Page]:
    """Open a page in a browser of its own, which is gone when the body ends."""
    with ExitStack() as stack:
        their_in, commands = os.pipe()
        answers, their_out = os.pipe()
        for end in (commands, answers):
            stack.callback(os.close, end)
        # the protocol's own numbers: it reads commands from 3 and writes answers to 4
        script = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        process = subprocess.Popen(
            [
                'bash',
                '-c',
                script,
                'bash',
                browser,
                *OPTIONS,
                f'--user-data-dir={profile}',
                address,
            ],
            pass_fds=(their_in, their_out),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        for end in (their_in, their_out):
            os.close(end)
        yield Page(commands, answers)
