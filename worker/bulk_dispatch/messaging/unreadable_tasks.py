"""What came out of the broker's queues and is no task of ours: Celery would drop it, and print it into a log.

It is kept as a dead letter with its reason, since it may hold somebody's messages. It is acknowledged only
then; if the intake is away, that is tried again.
"""

import logging
from collections.abc import Callable, Container, Mapping
from typing import Any

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import DeadLetter, IntakeError
from bulk_dispatch.messaging.celery_app import ENQUEUE, WAKEUP
from bulk_dispatch.messaging.consumer import Consumer
from bulk_dispatch.messaging.redis_transport import FOREIGN

log = logging.getLogger(__name__)

AGAIN = 5  # seconds until a letter that could not be kept is tried again
OCTETS = 2**24  # of one task, at most. A message has a few hundred


class CarefulConsumer(Consumer):
    """A consumer of tasks that drops none and dies of none."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """What is done with each message. What is wrong with it is found out before Celery believes it."""
        believe = super().create_task_handler(*args, **options)

        def take(message: Any) -> None:
            if reason := flaw(message, self.app.tasks):
                self.put_aside(message, reason)
            else:
                believe(message)

        return take

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """See Celery; so for the others."""
        self.put_aside(message, f"it cannot be read: {type(exc).__name__}")

    def on_invalid_task(self, _: Any, message: Any, exc: Exception) -> None:
        self.put_aside(message, f"it is no valid task: {type(exc).__name__}")

    def put_aside(self, message: Any, reason: str) -> None:
        """Keep it, and let the broker forget it. A wake-up may be lost: it is none of what is kept."""
        try:
            if not is_wakeup(message):
                self.app.bury(DeadLetter.about(Lane.BULK, f"task: {reason}", content(message)))
                log.warning("dead_letter lane=%s reason=%r", Lane.BULK.value, reason)
            message.ack_log_error(log, self.connection_errors)
        except IntakeError as problem:
            log.warning("enqueue_postponed problem=%s", problem)
            self.timer.call_after(AGAIN, self.put_aside, (message, reason))


NO_TASK = "it is no task"
UNKNOWN = "there is no task of that name"


def flaw(message: Any, known: Container[str]) -> str:
    """What is wrong with a message, in words without anything of it; empty if it is a task that we know."""
    octets = len(message.body or "")
    if octets > OCTETS:
        return f"it has {octets} octets; {OCTETS} at most"
    try:
        payload = None if message.content_type == FOREIGN else message.payload
    except Exception as problem:  # what decoders may raise, nobody lists
        return f"it cannot be read: {type(problem).__name__}"
    # By the newer protocol of tasks a head and a body of three parts, by the older one a single object.
    head = message.headers if "task" in message.headers else payload
    if not isinstance(head, dict) or not all(isinstance(head.get(name), str) for name in ("task", "id")):
        return NO_TASK
    if head["task"] not in known:
        return UNKNOWN
    return "" if _has_arguments(payload) and _has_limits(head) else "its parts are none of a task"


def _has_arguments(payload: Any) -> bool:
    match payload:
        case [list(), dict(), dict() | None] | {"args": list(), "kwargs": dict()}:
            return True
    return False


def _has_limits(head: Mapping[str, Any]) -> bool:
    limits = head.get("timelimit") or [None, None]
    return isinstance(limits, list) and len(limits) == 2


def is_wakeup(message: Any) -> bool:
    """Whether our beat or notifier sent it: that of a newer version may name a stage that is not
    known here. Beats and tasks of others are none, nor is what holds messages."""
    if not isinstance(message.headers, dict) or not message.headers.get(WAKEUP):
        return False
    name = str(message.headers.get("task"))
    return name.startswith("bulk_dispatch.") and name != ENQUEUE


def content(message: Any) -> dict[str, Any]:
    """What it holds, as far as that can be read."""
    body = message.body
    try:
        held = message.payload
    except Exception:
        held = body.decode(errors="surrogateescape") if isinstance(body, bytes) else body
    return {"task": message.headers.get("task"), "content_type": message.content_type, "body": held}
