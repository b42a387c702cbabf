# SPDX-License-Identifier: Apache-2.0
"""A host: a network namespace that lives as long as the process that holds it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mtl_split_core.errors import MtlSplitError

TOOLS = ('ip', 'tc', 'nsenter', 'unshare', 'setpriv')
_CHECKED = '[ "$PPID" = "$0" ] && exec "$@"'
_START_S = 20.0
_POLL_S = 0.005


class LabError(MtlSplitError):
    """The lab cannot be had on this machine, or one of its parts does not do what it should."""


def leashed(*command: str) -> tuple[str, ...]:
    """Make a command that goes when the thread that starts it does, however that ends.

    The kernel tells of a parent's end only those who asked before it, so the program begins only if
    its parent is still there after the asking.
    """
    return ('setpriv', '--pdeathsig', 'KILL', 'sh', '-c', _CHECKED, str(os.getpid()), *command)


def command(*words: str) -> str:
    """Run a program.

    Returns:
        Its output.

    Raises:
        LabError: It failed; the text has what it said.
    """
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or 'nothing').splitlines()
        msg = f'{" ".join(words)} ended with {done.returncode}: {"; ".join(said)}'
        raise LabError(msg)
    return done.stdout


class Host:
    """A network of its own.

    Without root it lies in a user namespace, where the kernel lets everybody be root.

    Args:
        name: In messages.
        beside: A host whose user namespace it shares, so that a link between the two is allowed.

    Raises:
        LabError: This machine has no namespaces, or gives no rights to them.
    """

    def __init__(self, name: str, beside: 'Host | None' = None) -> None:
        self.name = name
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing or sys.platform != 'linux':
            msg = f'no {", ".join(missing) or "Linux"} here; install iproute2 and util-linux'
            raise LabError(msg)
        own = os.geteuid() != 0
        user = ['--user', '--map-root-user'] if own and beside is None else []
        enter = beside.entry[:-1] if own and beside else ()
        self._holder = subprocess.Popen(
            [*enter, 'unshare', *user, '--net', *leashed('sleep', 'infinity')],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._holder.pid
        target = ('nsenter', '--target', str(self.pid))
        user_entry = ('--user', '--preserve-credentials') if own else ()
        self.entry: tuple[str, ...] = (*target, *user_entry, '--net')
        self._wait({Path('/proc/self/ns/net').readlink(), *([beside.net()] if beside else [])})

    def net(self) -> Path:
        """Return the identity of its network."""
        return Path(f'/proc/{self.pid}/ns/net').readlink()

    def run(self, *words: str) -> str:
        """Run a program in it, see `command`."""
        return command(*self.entry, *words)

    def close(self) -> None:
        """Let the network go, as soon as no process is in it."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stderr:
            self._holder.stderr.close()

    def _wait(self, others: set[Path]) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._holder.poll() is not None:
                said = self._holder.stderr.read().strip() if self._holder.stderr else ''
                msg = f'no network namespace for {self.name}: {said}; run as root, or allow user'
                self.close()
                raise LabError(f'{msg} namespaces')
            try:
                if self.net() not in others:
                    return
            except OSError:
                pass  # between two programs, or gone: poll() will say
            time.sleep(_POLL_S)
        self.close()
        msg = f'no network namespace for {self.name} within {_START_S:.0f} s'
        raise LabError(msg)


class Here(Host):
    """This machine as it is, where no network of one's own is to be had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = os.getpid()
        self.entry = ()

    def close(self) -> None:
        """There is nothing to let go."""
