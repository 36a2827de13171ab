"""The version, read by the build and by `worker --version`."""

__version__ = "0.1.0"
