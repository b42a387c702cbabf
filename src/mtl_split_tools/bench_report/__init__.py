# SPDX-License-Identifier: Apache-2.0
"""What the figures of the bench say: pictures, a video, docs/performance.md, the guard."""
