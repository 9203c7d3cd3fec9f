"""NAS-Bench-Graph: its archs, costs and networks."""
