"""Hardware: the user's own devices, and what was measured on them."""
