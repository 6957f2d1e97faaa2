"""What the shop does: one class a noun, given the database, raising errors of errors.py."""
