"""Question: what a provider may be asked beside being given messages. Not every contract has every one."""

from enum import StrEnum


class Question(StrEnum):
    """A kind of question. A provider may answer one and refuse another."""

    STATUS = "status"  # what became of messages
    JOB = "job"  # where an asynchronous job stands
    CANCEL = "cancel"  # to forget messages that have not left it
    BALANCE = "balance"  # the money left
    CLOCK = "clock"  # the time there
    PRICES = "prices"  # what a segment costs
    SCHEDULED = "scheduled"  # what it holds until its time
    STOP_LIST = "stop list"  # who wants nothing
