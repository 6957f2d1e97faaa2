def render(text):
    return text.replace("*", "_")
