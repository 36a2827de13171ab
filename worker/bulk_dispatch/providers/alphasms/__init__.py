"""AlphaSMS: XML and plain HTTP."""
