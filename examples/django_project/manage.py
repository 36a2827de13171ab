"""A shop with Django that tells its customers by SMS how their orders do.

    $ python examples/django_project/manage.py migrate --run-syncdb
    $ python examples/django_project/manage.py runserver 8000 --noreload

Then place an order, which enqueues a message once it is committed:

    curl -d phone=+380931110021 http://127.0.0.1:8000/orders/21/

and from time to time, as from cron, hand over what a crash between commit and enqueueing left out:

    $ python examples/django_project/manage.py send_notices

What to copy: `shop/messages.py`, the `transaction.on_commit` in `shop/views.py`, and the command. The
settings need nothing of ours: where messages go is told by the `WORKER_…` variables of the environment.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
