"""StreamCo SMARTSwitch: parameters out, JSON:API in."""
