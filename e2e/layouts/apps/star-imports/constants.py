LIMIT = 7
_hidden = True
