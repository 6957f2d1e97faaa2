from fasthtml.common import *


def page(title, text):
    return Article(H1(title), NotStr(text))
