"""Executors: where evaluations run, in processes of this machine or on a Ray cluster."""
