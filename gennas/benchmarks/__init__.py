"""Benchmarks: search methods compared on tables, by one protocol."""
