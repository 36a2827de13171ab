"""The one exception of this room."""


class LocalError(Exception):
    """The embedded servers or `worker up` cannot do what was asked; one sentence for a person."""
