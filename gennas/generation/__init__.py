"""Generation: archs for a task and a hardware, under constraints, from a checkpoint."""
