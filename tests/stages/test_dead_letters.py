"""What is put back from the dead letters: sent once, or a dead letter again with its reason of now."""

from bulk_dispatch import dead_letters
from bulk_dispatch.dead_letters import DeadLetterSelection
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import DeadLetter
from tests.stages.world import OpenWorld


def test_a_message_is_sent_once_and_what_is_none_is_dead_again(open_world: OpenWorld) -> None:
    world = open_world()
    intake = world.runtime.intake
    good = {
        "client_id": "a",
        "recipient": "+380931110001",
        "sender": "Shop",
        "text": "Hello",
        "route": "alpha",
    }
    for reason, raw in (
        ("nobody knew it", good),
        ("the same again", good),
        ("no sender", {**good, "sender": ""}),
    ):
        intake.bury(DeadLetter.about(Lane.BULK, reason, raw))

    for page in dead_letters.pages(intake, DeadLetterSelection()):
        assert dead_letters.requeue(intake, page) == (3, 0)
    world.ingest()
    world.dispatch()

    assert world.provider.taken == 1
    [(_, letter)] = intake.read_dead()
    assert letter["reason"].startswith("sender: ")
