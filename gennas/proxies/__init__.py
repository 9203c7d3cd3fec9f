"""Proxies: training-free scores of networks."""
