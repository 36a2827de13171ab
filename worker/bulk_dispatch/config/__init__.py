"""Configuration: settings from the environment, and the routes file."""
