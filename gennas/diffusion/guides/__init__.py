"""Guides: steer the sampling towards objectives, and keep it within bounds and rules."""
