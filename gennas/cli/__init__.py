"""The verbs of the command line as typed functions; heavy imports wait until a verb runs."""
