"""AlphaSMS: XML and plain HTTP. Sections named here are those of docs/protocols/alphasms.md."""
