# SPDX-License-Identifier: Apache-2.0
"""How long something may take on a machine that does other things, too."""

import os


def within(seconds: float) -> float:
    """Return a bound with the allowance for this machine as it is loaded now."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds + 0.5 * max(1.0, load)
