"""Pretrained weights: what is found on this machine, and where it comes from. Nothing is ever downloaded."""

from gennas.weights.files import read_file
from gennas.weights.published import (
    PUBLISHED,
    Published,
    WeightsFile,
    convert,
    converted_file,
    find_weights,
    published_file,
    read_published,
    read_weights,
)

__all__ = [
    "PUBLISHED",
    "Published",
    "WeightsFile",
    "convert",
    "converted_file",
    "find_weights",
    "published_file",
    "read_file",
    "read_published",
    "read_weights",
]
