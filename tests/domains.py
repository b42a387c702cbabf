# SPDX-License-Identifier: Apache-2.0
"""A DDS domain of a test's own."""

import os
import secrets

_WORKERS = 4


def own_domain() -> int:
    """Return a domain, 2 to 100, that no worker beside this one draws.

    Drawn from the system: where a training has set the seed, all workers would draw the same.
    """
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
    return secrets.choice(range(2 + worker % _WORKERS, 101, _WORKERS))
