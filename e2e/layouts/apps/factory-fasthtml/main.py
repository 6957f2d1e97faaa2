from fasthtml.common import FastHTML, P


def get_app():
    app = FastHTML()

    @app.get("/")
    def home():
        return P("made")

    return app
