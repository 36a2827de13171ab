"""Embedded PostgreSQL and Redis, and the supervisor behind `worker up`.

Real servers from wheels, on sockets only their owner can reach, shared by every process that uses the
same data directory. Nothing is kept in a table of pids: a server's life and a user's interest are file
locks, which the kernel lets go of however their holder ends.
"""
