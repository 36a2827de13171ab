"""The door for receipts: providers tell us over HTTP what became of messages."""
