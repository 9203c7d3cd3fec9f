"""Studies: what a run has evaluated, remembered in a database."""
