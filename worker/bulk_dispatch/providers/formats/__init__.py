"""Formats that several providers answer in, read with distrust."""
