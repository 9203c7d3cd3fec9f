"""Evaluators give true values: trained accuracies and measured latencies, all behind one signature."""
