"""AlphaSMS: two dialects, XML and plain HTTP, that lead to one account. Written from its protocol sheet."""
