"""Finds and imports the user's app, as `uvicorn app:app` in the app's folder would."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

Kind = Literal["fastapi", "starlette", "fasthtml", "asgi"]
_STATIC: Final = "/static"


class AppNotFoundError(Exception):
    """The module was imported but holds no app."""


@dataclass(frozen=True)
class LoadedApp:
    """An ASGI app, what it is, and the name of the variable or factory that it came from."""

    app: Any
    kind: Kind
    variable: str


def load(app_dir: str, entrypoint: str) -> LoadedApp:
    """Imports the entrypoint (a path relative to `app_dir`) and finds its app.

    Raises AppNotFoundError, or whatever the user's code raises.
    """
    _prefer(app_dir)
    module = importlib.import_module(_module_name(app_dir, entrypoint))
    found = find(module, entrypoint)
    mount_static(found, app_dir)
    return found


def _module_name(app_dir: str, entrypoint: str) -> str:
    if not os.path.isfile(os.path.join(app_dir, entrypoint)):
        raise AppNotFoundError(f"There is no file {entrypoint}.")
    path, extension = os.path.splitext(os.path.normpath(entrypoint))
    if extension != ".py" or path.startswith(".."):
        raise AppNotFoundError(f"{entrypoint} is not a Python file of the app.")
    return path.removesuffix("/__init__").replace("/", ".")


def _prefer(app_dir: str) -> None:
    """Puts the app's folder first on sys.path and forgets preloaded modules that its files shadow."""
    sys.path.insert(0, app_dir)
    own = {name.removesuffix(".py") for name in os.listdir(app_dir)}
    shadowed = own - set(sys.stdlib_module_names) - {"fp_runner"}
    for name in [name for name in sys.modules if name.partition(".")[0] in shadowed]:
        del sys.modules[name]


def find(module: ModuleType, entrypoint: str) -> LoadedApp:
    """The app of an imported module: `app`, any framework's instance, `create_app()`, `application`."""
    names = vars(module)
    app = names.get("app")
    if isinstance(app, Starlette):
        return LoadedApp(app, _kind(app), "app")
    if not _is_asgi(app):
        for name, value in names.items():
            if isinstance(value, Starlette):
                return LoadedApp(value, _kind(value), name)
        factory = names.get("create_app")
        if callable(factory):
            return _from_factory(factory, entrypoint)
    for name in ("app", "application"):
        if _is_asgi(names.get(name)):
            return LoadedApp(names[name], "asgi", name)
    hint = _hint(app)
    raise AppNotFoundError(f"{entrypoint} has no app: define `app = FastAPI()` or `app, rt = fast_app()` in it.{hint}")


def _hint(app: object) -> str:
    if isinstance(app, ModuleType):
        return f" Its `app` is the module {app.__name__}."
    return "" if app is None else f" Its `app` is of type {type(app).__name__}."


def _from_factory(factory: Callable[..., Any], entrypoint: str) -> LoadedApp:
    required = [
        parameter.name
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if required:
        raise AppNotFoundError(
            f"create_app() in {entrypoint} needs arguments ({', '.join(required)}); give them defaults."
        )
    if inspect.iscoroutinefunction(factory):
        raise AppNotFoundError(f"create_app() in {entrypoint} is async; make it a plain function.")
    app = factory()
    if isinstance(app, Starlette):
        return LoadedApp(app, _kind(app), "create_app")
    if _is_asgi(app):
        return LoadedApp(app, "asgi", "create_app")
    raise AppNotFoundError(f"create_app() in {entrypoint} returned {type(app).__name__}, not an app.")


def _kind(app: Starlette) -> Kind:
    # By the name of the classes, so that FastAPI need not be imported for a FastHTML app, nor the other way round.
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(app).__mro__}
    if "fastapi.FastAPI" in names:
        return "fastapi"
    return "fasthtml" if "fasthtml.FastHTML" in names else "starlette"


def _is_asgi(value: object) -> bool:
    """Whether a value can be called as app(scope, receive, send)."""
    if not callable(value) or inspect.isclass(value):
        return False
    try:
        inspect.signature(value).bind({}, None, None)
    except (TypeError, ValueError):
        return False
    function = value if inspect.isroutine(value) else type(value).__call__
    return inspect.iscoroutinefunction(function)


def mount_static(found: LoadedApp, app_dir: str) -> None:
    """Serves the app's static/ folder at /static, unless the app does so itself.

    First in line, so that a catch-all page route does not swallow it.
    """
    folder = os.path.join(app_dir, "static")
    if not isinstance(found.app, Starlette) or not os.path.isdir(folder):
        return
    paths = (getattr(route, "path", "") for route in found.app.router.routes)
    if not any(path == _STATIC or path.startswith(_STATIC + "/") for path in paths):
        files = Mount(_STATIC, StaticFiles(directory=folder), name="static")
        found.app.router.routes.insert(0, files)
