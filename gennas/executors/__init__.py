"""Executors: run evaluations in processes of this machine or on a Ray cluster."""
