"""fp_runner: starts the Python apps of fp, each in its own sandbox, by forking a warm process."""
