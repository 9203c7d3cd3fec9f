"""gennas generates neural architectures: from a task and a device to trained, exportable networks."""

__version__ = "0.1.0"
