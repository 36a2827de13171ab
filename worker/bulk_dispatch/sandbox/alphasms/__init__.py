"""AlphaSMS: two dialects, XML and plain HTTP, that lead to one account. From docs/protocols/alphasms.md."""
