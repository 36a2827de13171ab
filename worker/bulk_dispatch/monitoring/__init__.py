"""What processes report of themselves, how it is judged, and what `worker doctor` looks at."""
