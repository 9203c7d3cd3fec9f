"""Supernets: one network that holds the weights of all archs of a space."""
