"""Where the shop's pages are."""

from django.urls import path

from shop.views import place_order

urlpatterns = [path("orders/<int:number>/", place_order)]
