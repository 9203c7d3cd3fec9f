"""TransNAS-Bench-101, micro: its archs, costs and networks."""
