# SPDX-License-Identifier: Apache-2.0
"""Lines of Lightning and PyTorch that tell our user nothing: they would hide those that do."""

import logging
import warnings

_LIGHTNING = logging.getLogger('lightning.pytorch.utilities.rank_zero')


def leave_out_advice() -> None:
    """Leave out what Lightning recommends to install, and what PyTorch asks of its own code."""
    _LIGHTNING.addFilter(_is_no_tip)
    # Lightning and torch.export still use what torch has replaced.
    warnings.filterwarnings('ignore', r'`isinstance\(treespec, LeafSpec\)`', FutureWarning)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return 'Tip: ' not in record.getMessage()
