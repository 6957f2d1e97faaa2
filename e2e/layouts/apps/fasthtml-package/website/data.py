POSTS = {"first": "<b>bold</b> text"}
