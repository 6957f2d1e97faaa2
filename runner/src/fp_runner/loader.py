"""Finds and imports the user's app, as `uvicorn main:app` in the app's folder would."""

import importlib
import importlib.util
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

from fp_runner import entrypoint
from fp_runner.entrypoint import Entrypoint

Kind = Literal["fastapi", "starlette", "fasthtml", "asgi"]
_STATIC: Final = "/static"


class AppNotFoundError(Exception):
    """The module does not exist or has no app. `file` is the file in which the app was expected."""

    def __init__(self, message: str, file: str | None = None) -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True)
class LoadedApp:
    """An ASGI app, its kind, and the name of the variable or factory that defines it."""

    app: Any
    kind: Kind
    variable: str


def load(app_dir: str, text: str) -> LoadedApp:
    """Imports the module of the entrypoint (see entrypoint.py) and finds its app.

    Raises AppNotFoundError, or whatever the user's code raises.
    """
    try:
        given = entrypoint.parse(app_dir, text)
    except entrypoint.EntrypointError as error:
        raise AppNotFoundError(str(error)) from error
    sys.argv = [given.file]
    _prefer(os.path.join(app_dir, given.root) if given.root else app_dir)
    module = importlib.import_module(given.module) if given.module else _import_file(app_dir, given.file)
    found = _named(module, given, given.variable) if given.variable else find(module, given.file)
    mount_static(found, app_dir)
    return found


def _import_file(app_dir: str, path: str) -> ModuleType:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    folder = os.path.join(app_dir, path.removesuffix(".py"))
    if not os.path.isdir(folder):
        return importlib.import_module(name)
    # A folder has the same name as the file, for example app.py beside app/. If the folder is a package, it keeps the
    # name and the file gets another one. A folder without __init__.py contains the file's submodules.
    is_package = os.path.isfile(os.path.join(folder, "__init__.py"))
    if is_package:
        name = f"{name}_file"
    parent = name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(app_dir, path), submodule_search_locations=None if is_package else [folder]
    )
    if spec is None or spec.loader is None:
        raise AppNotFoundError(f"{path} is not a Python file.", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _named(module: ModuleType, given: Entrypoint, variable: str) -> LoadedApp:
    value: Any = module
    try:
        for part in variable.split("."):
            value = getattr(value, part)
    except AttributeError:
        message = f"{given.file} defines no {variable}, which the entrypoint {given.text} names."
        raise AppNotFoundError(message, given.file) from None
    if given.factory:
        return _from_factory(value, given.file, variable)
    found = _as_app(value, variable)
    if found:
        return found
    # The same as uvicorn without --factory, if calling the value returns an app.
    if inspect.isroutine(value):
        return _from_factory(value, given.file, variable)
    message = f"{variable} in {given.file} is not an app but of type {type(value).__name__}. Name the app's variable."
    raise AppNotFoundError(message, given.file)


def _prefer(folder: str) -> None:
    """Puts the folder first on sys.path and removes preloaded modules that have the same name as its files."""
    sys.path.insert(0, folder)
    for file in os.listdir(folder):
        name = file.removesuffix(".py")
        # Looks up each file's name. Iterating over all of sys.modules would copy 2 MiB of the zygote.
        if name in sys.modules and name not in sys.stdlib_module_names and name != "fp_runner":
            _forget(name)


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def find(module: ModuleType, file: str) -> LoadedApp:
    """Finds the app of an imported module: `app`, any framework's instance, `create_app()` or `application`."""
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
            return _from_factory(factory, file, "create_app")
    for name in ("app", "application"):
        found = _as_app(names.get(name), name)
        if found:
            return found
    hint = _hint(app)
    raise AppNotFoundError(f"{file} has no app: define `app = FastAPI()` or `app, rt = fast_app()` in it.{hint}", file)


def _as_app(value: object, variable: str) -> LoadedApp | None:
    if isinstance(value, Starlette):
        return LoadedApp(value, _kind(value), variable)
    return LoadedApp(value, "asgi", variable) if _is_asgi(value) else None


def _hint(app: object) -> str:
    if isinstance(app, ModuleType):
        return f" Its `app` is the module {app.__name__}."
    return "" if app is None else f" Its `app` is of type {type(app).__name__}."


def _from_factory(factory: Callable[..., Any], file: str, name: str) -> LoadedApp:
    where = f"{name}() in {file}"
    if not callable(factory):
        raise AppNotFoundError(
            f"{name} in {file} is not a function but of type {type(factory).__name__}.",
            file,
        )
    required = [
        parameter.name
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if required:
        raise AppNotFoundError(f"{where} needs arguments ({', '.join(required)}); give them defaults.", file)
    if inspect.iscoroutinefunction(factory):
        raise AppNotFoundError(f"{where} is async; make it a plain function.", file)
    app = factory()
    found = _as_app(app, name)
    if found is None:
        raise AppNotFoundError(f"{where} returned {type(app).__name__}, not an app.", file)
    return found


def _kind(app: Starlette) -> Kind:
    # Compares class names, so that FastAPI need not be imported for a FastHTML app, nor FastHTML for a FastAPI app.
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(app).__mro__}
    if "fastapi.FastAPI" in names:
        return "fastapi"
    return "fasthtml" if "fasthtml.FastHTML" in names else "starlette"


def _is_asgi(value: object) -> bool:
    """Whether a value can be called as app(scope, receive, send)."""
    if not callable(value):
        return False
    if inspect.isclass(value):
        return hasattr(value, "__await__")
    try:
        inspect.signature(value).bind({}, None, None)
    except (TypeError, ValueError):
        return False
    function = value if inspect.isroutine(value) else type(value).__call__
    return inspect.iscoroutinefunction(function)


def mount_static(found: LoadedApp, app_dir: str) -> None:
    """Serves the app's static/ folder at /static, unless the app does so itself.

    The route is the first one, so that a catch-all page route does not match before it.
    """
    folder = os.path.join(app_dir, "static")
    if not isinstance(found.app, Starlette) or not os.path.isdir(folder):
        return
    paths = (getattr(route, "path", "") for route in found.app.router.routes)
    if not any(path == _STATIC or path.startswith(_STATIC + "/") for path in paths):
        files = Mount(_STATIC, StaticFiles(directory=folder), name="static")
        found.app.router.routes.insert(0, files)
