# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: looks at machine, bundle and graph, and says what is wrong and what helps."""
