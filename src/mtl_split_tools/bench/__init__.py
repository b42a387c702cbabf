# SPDX-License-Identifier: Apache-2.0
"""The split beside what people would use instead, through the same network and the same DDS."""
