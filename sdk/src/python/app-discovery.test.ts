import { describe, expect, test } from 'vitest'
import { APP, validate } from './testing.ts'

const errors = (files: Record<string, string>): string[] =>
  validate(files)
    .filter(({ severity }) => severity === 'error')
    .map(({ file, line, column, rule, message }) => `${file}:${line}:${column} ${rule} ${message}`)

describe('an app is', () => {
  test.each([
    ['FastAPI()', APP],
    ['fastapi.FastAPI(…)', 'import fastapi\napp = fastapi.FastAPI(title="x")'],
    ['an aliased class', 'from fastapi import FastAPI as F\nservice = F()'],
    ['fast_app()', 'from fasthtml.common import *\napp, rt = fast_app()'],
    ['fast_app() with other names', 'from fasthtml.common import *\nweb, rt, todos = fast_app()'],
    ['FastHTML()', 'from fasthtml.common import FastHTML\napp = FastHTML()'],
    ['Starlette()', 'from starlette.applications import Starlette\nsite = Starlette()'],
    ['a subclass', 'from fastapi import FastAPI\nclass A(FastAPI): ...\nclass B(A): ...\nx = B()'],
    ['an annotated assignment', 'from fastapi import FastAPI\napp: FastAPI = FastAPI()'],
    ['a walrus', 'from fastapi import FastAPI\nif (api := FastAPI()):\n    pass'],
    ['a chain', 'from fastapi import FastAPI\na = b = FastAPI()'],
    ['in if', 'import os\nfrom fastapi import FastAPI\nif os.name:\n    app = FastAPI()\nelse:\n    app = FastAPI()'],
    ['in try', 'from fastapi import FastAPI\ntry:\n    api = FastAPI()\nfinally:\n    pass'],
    ['in with', 'from fastapi import FastAPI\nwith open("x"):\n    app = FastAPI()'],
    ['an ASGI function', 'async def app(scope, receive, send): ...'],
    ['an ASGI function with rest arguments', 'async def application(*args): ...'],
    ['an instance of an ASGI class', 'class A:\n    async def __call__(self, scope, receive, send): ...\napp = A()'],
    ['a middleware', 'from x import Middleware, y\napp = Middleware(y)'],
    ['application', 'from x import make\napplication = make()'],
    ['a decorated function', 'from x import asgi\n@asgi\ndef app(): ...'],
    ['create_app', 'def create_app(debug=False, *, x: int = 1, **rest): ...'],
    ['create_app imported', 'from x import create_app'],
    ['create_app assigned', 'from x import make\ncreate_app = make'],
    ['from x import app', 'from x import app'],
    ['from x import y as app', 'from x import make as app'],
    ['an app of another name from another file', 'from x import api'],
    ['a star import', 'from x import *'],
    ['a list and then an app', 'app = []\napp = FastAPI()'],
    ['an async factory beside an app', 'async def create_app(): ...\napp = 1 if x else y'],
  ])('%s', (_, code) => {
    const others = { 'x.py': `${APP}api = FastAPI()\ndef create_app(): ...\ndef make(): ...\ny = 1\nclass Middleware: ...\ndef asgi(f): ...\n` }
    expect(errors({ 'app.py': code, ...others })).toEqual([])
  })
}) // prettier-ignore

describe('no app is', () => {
  test.each([
    ['an empty file', '', 'app.py:1:1 no-app-found app.py is empty'],
    ['blank lines', '\n \n', 'app.py:1:1 no-app-found app.py is empty'],
    ['no app', 'x = 1', 'app.py:1:1 no-app-found app.py has no app. Write `app = FastAPI()`'],
    ['a number', 'app = 1', 'app.py:1:1 no-app-found'],
    ['a negative number', 'app = -1', 'app.py:1:1 no-app-found'],
    ['a string', 'app = "x" "y"', 'app.py:1:1 no-app-found'],
    ['an f-string', 'app = f"{1}"', 'app.py:1:1 no-app-found'],
    ['a list', 'app = [1]', 'app.py:1:1 no-app-found'],
    ['a dict', 'app = {}', 'app.py:1:1 no-app-found'],
    ['None', 'app = None', 'app.py:1:1 no-app-found'],
    ['True', 'app = True', 'app.py:1:1 no-app-found'],
    ['an annotation', 'app: int', 'app.py:1:1 no-app-found'],
    ['in a function', 'from fastapi import FastAPI\ndef f():\n    app = FastAPI()\n    return app', 'app.py:1:1 no-app-found'],
    ['in a class', 'from fastapi import FastAPI\nclass A:\n    app = FastAPI()', 'app.py:1:1 no-app-found'],
    ['in a comment or text', '# app = FastAPI()\nx = "app = FastAPI()"', 'app.py:1:1 no-app-found'],
    ['a router', 'from fastapi import APIRouter\nrouter = APIRouter()', 'app.py:1:1 no-app-found'],
    ['a class', 'class app: ...', 'app.py:1:7 no-app-found app is a class'],
    ['a plain function', 'def app(environ, start): ...', 'app.py:1:5 no-app-found app is a function'],
    ['a function without scope', 'async def app(): ...', 'app.py:1:11 no-app-found app is a function'],
    ['a module', 'import x as app', 'app.py:1:13 no-app-found app is a module here'],
    ['an async factory', 'async def create_app(): ...', 'app.py:1:11 no-app-found create_app() is async'],
    ['an imported async factory', 'from x import create_app', 'app.py:1:15 no-app-found create_app() is async'],
    ['a factory with arguments', 'def create_app(config, name: str): ...', 'app.py:1:5 no-app-found create_app() needs arguments (config, name)'],
    ['a script', 'from fastapi import FastAPI\nif __name__ == "__main__":\n    app = FastAPI()', 'app.py:3:5 no-app-found app is made only when'],
    ['nothing of that name', 'from x import app', 'app.py:1:15 no-app-found x.py defines no `app`'],
  ])('%s', (_, code, expected) => {
    const found = errors({ 'app.py': code, 'x.py': 'async def create_app(): ...\n' })
    expect(found).toHaveLength(1)
    expect(found[0]?.startsWith(expected), found[0]).toBe(true)
  })
}) // prettier-ignore

test('a syntax error hides no-app-found', () => {
  expect(validate({ 'app.py': 'def f(:\n    pass\n' }).map(({ rule }) => rule)).toEqual(['syntax-error'])
})

test('the finding about a missing app says where to write one', () => {
  for (const files of [{}, { 'lib/x.py': 'x = 1\n' }] as Record<string, string>[])
    expect(errors(files)).toEqual([
      expect.stringMatching(
        /^main\.py:1:1 entrypoint-missing No file of the app holds an app\. Create main\.py with/,
      ),
    ])
})

test('a cycle of imports ends the search', () => {
  expect(
    errors({ 'app.py': 'from a import app', 'a.py': 'from b import app', 'b.py': 'from a import app' }),
  ).toEqual([])
  expect(errors({ 'app.py': 'from a import *', 'a.py': 'from app import *' })[0]).toContain('no-app-found')
})
