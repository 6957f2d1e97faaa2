"""How the app of a module is found."""

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


APP = "from fastapi import FastAPI\napp = FastAPI()\n"
FACTORY = "from fastapi import FastAPI\ndef make(debug=False):\n    return FastAPI()\n"


@pytest.mark.parametrize(
    ("entrypoint", "files", "variable"),
    [
        ("main:app", {"main.py": APP}, "app"),
        ("main", {"main.py": APP}, "app"),
        ("app.main:app", {"app/main.py": "from .x import y\nfrom app.x import y\n" + APP, "app/x.py": "y = 1"}, "app"),
        ("src/main:app", {"src/main.py": "from x import y\n" + APP, "src/x.py": "y = 1"}, "app"),
        ("src.main:app", {"src/main.py": "from src.x import y\n" + APP, "src/x.py": "y = 1"}, "app"),
        ("shop:app", {"shop/__init__.py": "from .web import app", "shop/web.py": APP}, "app"),
        ("main:make()", {"main.py": FACTORY}, "make"),
        ("main:make", {"main.py": FACTORY}, "make"),
        ("main:Box.inner", {"main.py": APP + "class Box:\n    inner = app\n"}, "Box.inner"),
        ("main:A", {"main.py": "class A:\n    def __init__(self, *a): ...\n    def __await__(self): yield"}, "A"),
        # A folder with the same name as the file: a package, and a folder without __init__.py.
        ("app.py:app", {"app.py": "from app.x import app", "app/__init__.py": "", "app/x.py": APP}, "app"),
        ("app.py", {"app.py": "from app.x import y\n" + APP, "app/x.py": "y = 1"}, "app"),
        ("app.py:app", {"app.py": "z = 1\nfrom app.x import y\n" + APP, "app/x.py": "from app import z\ny = z"}, "app"),
    ],
)
def test_an_entrypoint_names_module_and_variable(
    make_app: MakeApp, entrypoint: str, files: dict[str, str], variable: str
) -> None:
    app = make_app(files=files).start(mode="check", socket=None, entrypoint=entrypoint)
    assert app.manager.wait("checked", id=app.id)["variable"] == variable


@pytest.mark.parametrize(
    ("entrypoint", "words", "file"),
    [
        ("main:nothing", "main.py defines no nothing, which the entrypoint main:nothing names", "main.py"),
        ("main:text", "text in main.py is not an app but of type str", "main.py"),
        ("main:text()", "text in main.py is not a function but of type str", "main.py"),
        ("main:needs()", "needs() in main.py needs arguments (x)", "main.py"),
        ("main:wrong()", "wrong() in main.py returned int, not an app", "main.py"),
        ("other:app", "names the file other.py, which does not exist", None),
        ("a/../main:app", "does not name a module", None),
    ],
)
def test_a_wrong_entrypoint_says_what_is_wrong(
    make_app: MakeApp, entrypoint: str, words: str, file: str | None
) -> None:
    code = "text = 'x'\ndef needs(x): ...\ndef wrong(): return 1\n"
    failure = make_app(files={"main.py": code}).start(entrypoint=entrypoint).failed()
    assert (failure["code"], failure["file"]) == ("FP_APP_NOT_FOUND_IN_CODE", file)
    assert words in failure["message"]
