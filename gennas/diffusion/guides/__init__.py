"""Guides: what bends the sampling towards objectives, and keeps it within bounds and rules."""
