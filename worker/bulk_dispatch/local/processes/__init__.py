"""The processes of `worker up`: started, watched, started again, and ended."""
