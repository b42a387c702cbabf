# SPDX-License-Identifier: Apache-2.0
"""What the checks of the doctor return."""

from collections.abc import Iterable
from dataclasses import dataclass

from mtl_split_ros.status import Level

WORDS = {Level.OK: 'ok', Level.WARN: 'warn', Level.ERROR: 'error'}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: OK, WARN or ERROR.
        area: What was looked at: environment, bundle, graph and so on.
        what: The finding, one line: thing and value.
        remedy: What helps: a command, or a parameter to set; '' where nothing has to.
    """

    level: Level
    area: str
    what: str
    remedy: str = ''

    def document(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {
            'level': WORDS[self.level],
            'area': self.area,
            'what': self.what,
            'remedy': self.remedy,
        }


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each level, by its word."""
    words = [WORDS[finding.level] for finding in findings]
    return {word: words.count(word) for word in ('ok', 'warn', 'error')}
