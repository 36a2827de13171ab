"""SMARTSwitch, HTTP API "message": written from its protocol sheet."""
