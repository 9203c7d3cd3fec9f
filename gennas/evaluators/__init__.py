"""Evaluators give true values: looked up, computed, trained or measured, all behind one signature."""
