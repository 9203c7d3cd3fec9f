"""Once-for-all MobileNetV3: its archs, costs and networks."""
