"""The bakery."""
