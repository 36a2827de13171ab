"""SMARTSwitch, HTTP API "message": written from docs/protocols/smartswitch.md."""
