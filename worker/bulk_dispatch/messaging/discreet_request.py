"""Celery's request for a task that carries messages: nothing of them is shown, and none is dropped."""

from typing import Any

from celery.worker.request import Request as CeleryRequest

_STALE = "stale"  # marks the request of a task that expired or was revoked


class Discreet(CeleryRequest):
    """A request whose arguments stay out of logs and of Flower: they are texts and numbers of people."""

    argsrepr = "(…)"
    kwargsrepr = "{…}"

    def revoked(self) -> bool:
        """See Celery, which would acknowledge a task that expired or was revoked, and drop the messages in
        it. It is let run, and buries them itself: that may be tried again."""
        super().revoked()
        return False

    def _announce_revoked(self, _: str, terminated: bool, *__: object) -> None:
        if terminated:
            self.reject(requeue=True)
        else:
            self.request_dict[_STALE] = True


def is_stale(request: Any) -> bool:
    """Whether a task, by its `request`, expired or was revoked before it ran."""
    return bool(getattr(request, _STALE, False))
