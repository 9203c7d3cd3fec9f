"""NAS-Bench-101: its archs, costs and networks."""
