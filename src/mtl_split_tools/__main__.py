# SPDX-License-Identifier: Apache-2.0
"""`python3 -m mtl_split_tools`, the same as `mtl-split`."""

import sys

from mtl_split_tools.cli import main

if __name__ == '__main__':
    sys.exit(main())
