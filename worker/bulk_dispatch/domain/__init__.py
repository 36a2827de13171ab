"""The vocabulary: values and rules of text messages. Standard library only."""
