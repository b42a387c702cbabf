# SPDX-License-Identifier: Apache-2.0
"""Data sets whose pictures have labels for whole-picture tasks, as the MTL-Split paper uses them.

How to read one:

data = read_attributes('shapes', Path(), 'train')
data.tasks['shape']                  # ('cube', 'cylinder', 'sphere', 'capsule')
data.samples[0].image()              # uint8 [H, W, 3], RGB
data.samples[0].values['shape']      # id of its class; None where it has no label
"""

from mtl_split_train.attributes.data import AttributeData, AttributeSample
from mtl_split_train.attributes.readers import READERS, read_attributes

__all__ = ['READERS', 'AttributeData', 'AttributeSample', 'read_attributes']
