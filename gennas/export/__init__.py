"""Export: networks as files that can be used without gennas."""
