"""Copies of the store: where they are, how they are made, and how they are read back."""
