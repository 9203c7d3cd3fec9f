"""NAS-Bench-201: its archs, costs and networks."""
