"""What the shop's data looks like. `…Create` and `…Update` come in, the others go out."""
