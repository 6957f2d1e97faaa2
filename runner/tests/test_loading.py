"""How the app in a module is found."""

import pytest

from conftest import MakeApp


@pytest.mark.parametrize(
    ("code", "kind", "variable"),
    [
        ("from fastapi import FastAPI\napp = FastAPI()", "fastapi", "app"),
        ("from fasthtml.common import *\nweb, rt = fast_app()", "fasthtml", "web"),
        ("from starlette.applications import Starlette\napp = Starlette()", "starlette", "app"),
        ("async def application(scope, receive, send): ...", "asgi", "application"),
        ("from fastapi import FastAPI\ndef create_app(): return FastAPI()", "fastapi", "create_app"),
    ],
)
def test_check_mode_names_what_it_found(make_app: MakeApp, code: str, kind: str, variable: str) -> None:
    app = make_app(code).start(mode="check", socket=None)
    checked = app.manager.wait("checked", id=app.id)
    assert (checked["kind"], checked["variable"]) == (kind, variable)
    assert app.exited()["reason"] == "exited"


def test_fasthtml_serves_pages(make_app: MakeApp) -> None:
    code = """
        from fasthtml.common import *
        app, rt = fast_app()

        @rt("/")
        def get(session):
            session["seen"] = 1
            return Titled("Hello", P("world"))
        serve()
    """
    app = make_app(code).start().ready()
    page = app.get("/")
    assert page.status_code == 200
    assert "world" in page.text
    assert "set-cookie" in page.headers


def test_an_app_without_lifespan_serves(make_app: MakeApp) -> None:
    code = """
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"plain"})
    """
    assert make_app(code).start().ready().get("/").text == "plain"


def test_packages_static_and_shadowed_names(make_app: MakeApp) -> None:
    files = {
        "models/__init__.py": "",
        "models/user.py": "NAME = 'ada'\n",
        "slack_sdk.py": "MINE = True\n",
        "static/a.txt": "static text",
        "main.py": """
            from fastapi import FastAPI
            from models.user import NAME
            import slack_sdk
            app = FastAPI()

            @app.get("/{path:path}")
            async def read(path: str):
                return [NAME, slack_sdk.MINE, __name__, __file__]
        """,
    }
    app = make_app(files=files).start(entrypoint="main.py").ready()
    assert app.get("/x").json() == ["ada", True, "main", "/app/main.py"]
    assert app.get("/static/a.txt").text == "static text"
