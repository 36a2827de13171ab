"""The routes that a process goes by: those of the routes file, read once, and again when somebody asks."""

import logging
from collections.abc import Mapping
from pathlib import Path

from bulk_dispatch.config.routes_file import Secret, read_routes
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.routing import Route, build_routes

log = logging.getLogger(__name__)


class RouteTable:
    """The routes of a routes file.

    A step takes `routes` as they are when it begins, and keeps to them: reading again makes others, and
    changes none. A file that cannot be used leaves everything as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secret: Secret | None = None
        self._routes: Mapping[str, Route] | None = None
        self.kept = ""  # why the routes are still the old ones, if the file could not be read again

    def read(self, secret: Secret | None = None) -> Mapping[str, Route]:
        """Read the file; from now on credentials come from there. Raises SettingsError."""
        self._secret = secret
        self._routes = build_routes(read_routes(self._path, secret))
        return self._routes

    @property
    def routes(self) -> Mapping[str, Route]:
        """The routes as they are now. Raises SettingsError if the file was never read, and cannot be."""
        return self.read(self._secret) if self._routes is None else self._routes

    @property
    def digests(self) -> dict[str, str]:
        """What is told of each route to others."""
        return {name: route.config.settings_digest for name, route in self.routes.items()}

    def read_again(self) -> None:
        """Read the file again. Never raises: the old routes stay, and `kept` says why."""
        try:
            routes = read_routes(self._path, self._secret)
            if routes != {name: route.config for name, route in self.routes.items()}:
                self._routes = build_routes(routes)
        except SettingsError as problem:
            self.kept = str(problem)
            log.error("routes_kept problem=%s", problem)
        except Exception as problem:  # of a fault of ours, too: a process without routes would do nothing
            self.kept = f"unexpected {type(problem).__name__}"
            log.exception("routes_kept")
        else:
            self.kept = ""
            log.info("routes_read routes=%s", ",".join(self.routes))
