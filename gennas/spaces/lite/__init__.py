"""Elastic spaces: the sub-networks of a pretrained chain of inverted residual blocks."""
