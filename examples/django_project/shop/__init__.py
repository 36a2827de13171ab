"""The shop: a Django project and its one app."""
