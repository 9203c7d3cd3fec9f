"""Training: recipes and image batches for networks, and the trainer of gennas' own models."""
