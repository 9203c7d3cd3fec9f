"""Export: networks as files that run without gennas."""
