"""The shop's pages."""

import logging
from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from bulk_dispatch import EnqueueError, Message, MessageError
from shop.messages import dispatcher, notice
from shop.models import Order

log = logging.getLogger(__name__)


@require_POST
def place_order(request: HttpRequest, number: int) -> HttpResponse:
    """Write the order, and enqueue its message once that is committed."""
    try:
        with transaction.atomic():
            order, _ = Order.objects.get_or_create(
                number=number, defaults={"phone": request.POST.get("phone", "")}
            )
            message = notice(order)  # a phone that cannot be one undoes the order
            transaction.on_commit(partial(hand_over, message))
    except MessageError as problem:
        return JsonResponse({"detail": str(problem)}, status=422)
    return JsonResponse({"client_id": message.client_id}, status=201)


def hand_over(message: Message) -> None:
    """Enqueue a message. If Redis is away, the order stands, and `send_notices` hands it over later."""
    try:
        dispatcher().enqueue(message)
    except EnqueueError as problem:
        log.warning("not handed over: %s", problem)
