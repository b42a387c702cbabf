# SPDX-License-Identifier: Apache-2.0
"""One diagnostic status with the semantics of diagnostic_updater's DiagnosticStatusWrapper."""

from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(slots=True)
class Status:
    """What one diagnostic task reports: a level, a line, and key-value pairs."""

    level: Level = Level.OK
    message: str = ''
    values: list[tuple[str, str]] = field(default_factory=list)

    def summary(self, level: Level, message: str) -> None:
        """Set level and message."""
        self.level = level
        self.message = message

    def merge_summary(self, level: Level, message: str) -> None:
        """Raise to `level` if that is worse; messages of the same rank are joined.

        As in diagnostic_updater: a worse level replaces the message of an OK, and is joined to
        the message of another complaint.
        """
        if (level > Level.OK) == (self.level > Level.OK):
            self.message = f'{self.message}; {message}' if self.message else message
        elif level > self.level:
            self.message = message
        self.level = max(self.level, level)

    def add(self, key: str, value: object) -> None:
        """Add one pair; floats with two decimals."""
        self.values.append((key, f'{value:.2f}' if isinstance(value, float) else str(value)))


def short(text: str, most: int = 200) -> str:
    """Return a text of the wire fit for logs and diagnostics: one line of limited length."""
    return ''.join(c if c.isprintable() else '?' for c in text[:most])
