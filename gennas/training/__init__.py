"""Training: how networks are trained, by recipe, on batches of images."""
