"""Evaluators give values: looked up, computed, trained, measured or predicted, all behind one signature."""
