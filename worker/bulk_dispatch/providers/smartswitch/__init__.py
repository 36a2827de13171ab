"""StreamCo SMARTSwitch: parameters out, JSON:API in. Sections named here are those of
docs/protocols/smartswitch.md."""
