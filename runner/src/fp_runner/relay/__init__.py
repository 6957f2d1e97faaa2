"""Carries the database connections of this machine's apps to MongoDB, and counts them (see decision 26)."""
