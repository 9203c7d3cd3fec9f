"""Hardware: the user's own devices and the latencies measured on them."""
