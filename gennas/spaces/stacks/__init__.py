"""Stacks: many networks of one space side by side in one module, so that they are trained at once."""
