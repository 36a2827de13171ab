"""Celery: its app, its broker, wake-ups between processes, and beat's schedule."""
