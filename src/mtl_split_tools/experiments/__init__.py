# SPDX-License-Identifier: Apache-2.0
"""Experiments that repeat what papers claim: `mtl-split experiment NAME`.

An experiment is a module with a class `Experiment` (see `frame`), known by name in `registry`. It
says which cells it has, measures one at a time, and draws all of them. What a cell gave is kept, so
that a run that was stopped goes on where it was.
"""
