from fasthtml.common import fast_app

from .components import page
from .data import POSTS

app, rt = fast_app(default_hdrs=False)


@rt("/post/{slug}")
def get(slug: str):
    return page(slug, POSTS[slug])
