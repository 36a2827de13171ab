"""What the shop keeps."""

from django.db import models


class Order(models.Model):
    """An order, and the phone to tell about it."""

    number = models.PositiveBigIntegerField(primary_key=True)
    phone = models.CharField(max_length=20)
