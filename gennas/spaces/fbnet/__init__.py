"""FBNet: its archs and networks."""
