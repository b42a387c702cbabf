# SPDX-License-Identifier: Apache-2.0
"""Import torchvision through here, and before Lightning, so that a CPU build of torch will do.

PyPI carries torchvision for CUDA only. Beside a CPU build of torch its compiled operators cannot
be loaded, and the import fails because the fake kernel of ``torchvision::nms`` has no operator to
attach to. Declaring the two schemas first is enough: nothing here calls the compiled operators
(suppression runs in OpenCV, after the exported network).
"""

import importlib

import torch

_SCHEMA = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'


def _declare_operators() -> torch.library.Library | None:
    """Import torchvision; declare what its import needs where the operators are missing."""
    try:
        importlib.import_module('torchvision')
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
    else:
        return None
    # 'FRAGMENT' leaves room for the real library; the object must live as long as the process.
    library = torch.library.Library('torchvision', 'FRAGMENT')  # type: ignore[no-untyped-call]
    for operator in ('nms', 'qnms'):
        library.define(operator + _SCHEMA)  # type: ignore[no-untyped-call]
    importlib.import_module('torchvision')
    return library


OPERATORS = _declare_operators()
