"""Embedded PostgreSQL and Redis of one data directory."""
