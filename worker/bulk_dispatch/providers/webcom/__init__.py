"""webcom.mobi: XML over HTTP. Sections named here are those of docs/protocols/webcom.md."""
