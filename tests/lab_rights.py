# SPDX-License-Identifier: Apache-2.0
"""Network namespaces are not to be had everywhere; where they are expected, no test is left out."""

import os

import pytest

EXPECTED = 'MTL_SPLIT_EXPECT_LAB'
"""Variable that is set where they have to be there, as in CI."""


def need_lab(reason: str) -> None:
    """Leave a test out where there is a reason, and fail where there must be none."""
    if reason:
        assert EXPECTED not in os.environ, f'no lab: {reason}'
        pytest.skip(f'no lab: {reason}')
