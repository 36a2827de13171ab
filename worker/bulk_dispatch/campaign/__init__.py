"""Lists of recipients: a file as people have it, read whole and checked before anything of it leaves."""
