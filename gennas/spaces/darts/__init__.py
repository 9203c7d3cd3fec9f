"""DARTS and NASNet: normal and reduction cells whose nodes add two operations on earlier nodes."""
