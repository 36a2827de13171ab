"""A shop with FastAPI that tells its customers by SMS how their orders do.

    $ uvicorn --app-dir examples fastapi_app:app --port 8000

Then, for an order whose message exists if and only if the order does:

    curl -X PUT -H 'Content-Type: application/json' -d '{"phone": "+380931110001"}' http://127.0.0.1:8000/orders/18

for a message by itself, and for what became of one:

    curl -X POST http://127.0.0.1:8000/orders/18/reminders/1
    curl http://127.0.0.1:8000/messages/order-18

Each endpoint is a plain function: FastAPI calls it in a thread, and threads may share a Dispatcher.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateSchema

from bulk_dispatch import ClientIdConflict, Dispatcher, EnqueueError, Message, MessageError

# The shop's tables share the ledger's database, in a schema of their own: one transaction can hold both.
orders = Table(
    "orders",
    MetaData(schema="shop"),
    Column("number", Integer, primary_key=True),
    Column("phone", String, nullable=False),
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one Dispatcher and one engine for the whole process."""
    app.state.dispatcher = Dispatcher.from_env()
    app.state.engine = create_engine(os.environ["WORKER_DATABASE_URL"])
    with app.state.engine.begin() as connection:
        connection.execute(CreateSchema("shop", if_not_exists=True))
        orders.metadata.create_all(connection)
    yield
    app.state.dispatcher.close()
    app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)


def dispatcher(request: Request) -> Dispatcher:
    """The Dispatcher of this process."""
    opened: Dispatcher = request.app.state.dispatcher
    return opened


def engine(request: Request) -> Engine:
    """The engine of this process."""
    opened: Engine = request.app.state.engine
    return opened


Sender = Annotated[Dispatcher, Depends(dispatcher)]
Database = Annotated[Engine, Depends(engine)]


class Order(BaseModel):
    """What a customer gives."""

    phone: str


def notice(client_id: str, phone: str, text: str) -> Message:
    """A message of this shop."""
    return Message(client_id=client_id, recipient=phone, sender="ShopNews", text=text, producer="shop")


@app.put("/orders/{number}", status_code=201)
def place_order(number: int, order: Order, sender: Sender, database: Database) -> dict[str, str]:
    """Write the order and its message in one transaction: both exist, or neither."""
    message = notice(f"order-{number}", order.phone, f"Thank you for order {number}")
    with database.begin() as connection:
        connection.execute(insert(orders).values(number=number, phone=order.phone).on_conflict_do_nothing())
        sender.enqueue(message, connection=connection)
    sender.notify(message)  # after the commit; without it the message leaves at the next tick
    return {"client_id": message.client_id}


@app.post("/orders/{number}/reminders/{count}", status_code=202)
def remind(number: int, count: int, sender: Sender, database: Database) -> dict[str, str]:
    """Hand a message over through Redis, with no transaction: the fastest way."""
    with database.connect() as connection:
        phone = connection.scalar(select(orders.c.phone).where(orders.c.number == number))
    if phone is None:
        raise HTTPException(404, "no such order")
    message = notice(f"order-{number}-reminder-{count}", phone, f"Order {number} waits for you")
    sender.enqueue(message)
    return {"client_id": message.client_id}


@app.get("/messages/{client_id}")
def status(client_id: str, sender: Sender) -> dict[str, Any]:
    """What became of a message; 404 as long as the ledger has not seen it."""
    found = sender.status(client_id, producer="shop")
    if found is None:
        raise HTTPException(404, "not known yet")
    return {"client_id": found.client_id, "status": found.status, "finalized_at": found.finalized_at}


@app.exception_handler(MessageError)
def unusable(_: Request, problem: MessageError) -> JSONResponse:
    """A field that cannot be sent. The sentence shows no whole number and no text."""
    return JSONResponse({"detail": str(problem)}, 422)


@app.exception_handler(ClientIdConflict)
def conflicting(_: Request, problem: ClientIdConflict) -> JSONResponse:
    """The order was placed already, with another phone. Nothing was written."""
    return JSONResponse({"detail": str(problem)}, 409)


@app.exception_handler(EnqueueError)
def unavailable(_: Request, problem: EnqueueError) -> JSONResponse:
    """Redis is away; nothing was handed over. The caller tries again."""
    return JSONResponse({"detail": str(problem)}, 503)
