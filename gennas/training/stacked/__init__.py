"""Training many small networks of a space at once, each as it would be trained alone."""
