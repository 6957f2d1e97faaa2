import { describe, expect, test } from 'vitest'
import { APP, validator } from './testing.ts'

type Files = Record<string, string>

const served = (files: Files, entrypoint?: string): string | null =>
  validator.check(files, entrypoint === undefined ? {} : { entrypoint }).entrypoint
const findings = (files: Files, entrypoint?: string): string[] =>
  validator
    .check(files, entrypoint === undefined ? {} : { entrypoint })
    .findings.map(({ file, rule, severity, message }) => `${file} ${rule} ${severity} ${message}`)

const FACTORY =
  'from fastapi import FastAPI\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n'
const ROUTER = 'from fastapi import APIRouter\nrouter = APIRouter()\n'

describe('the entrypoint is found in', () => {
  test.each<[string, Files, string]>([
    ['app.py', { 'app.py': APP }, 'app:app'],
    ['main.py', { 'main.py': APP }, 'main:app'],
    ['a file of another name', { 'service.py': APP }, 'service:app'],
    ['another variable', { 'main.py': APP.replace('app =', 'api =') }, 'main:api'],
    ['FastHTML under other names', { 'main.py': 'from fasthtml.common import *\nweb, rt = fast_app()\n' }, 'main:web'],
    ['create_app()', { 'main.py': FACTORY }, 'main:create_app()'],
    ['a factory of another name', { 'main.py': FACTORY.replaceAll('create_app', 'build_api') }, 'main:build_api()'],
    ['a factory and the app it makes', { 'main.py': `${FACTORY}app = create_app()\n` }, 'main:app'],
    ['an app under another name that a factory makes', { 'main.py': `${FACTORY}web = create_app()\n` }, 'main:web'],
    ['a sub-application and its app', { 'main.py': `${APP.replace('app =', 'admin =')}site = FastAPI()\nsite.mount("/admin", admin)\n` }, 'main:site'],
    ['a package with relative imports', { 'app/__init__.py': '', 'app/main.py': `from .routers import items\n${APP}`, 'app/routers/items.py': ROUTER }, 'app.main:app'],
    ['a folder without __init__.py with relative imports', { 'app/main.py': `from .routers import items\n${APP}`, 'app/routers/items.py': ROUTER }, 'app.main:app'],
    ['a package with absolute imports', { 'app/main.py': `from app.routers import items\n${APP}`, 'app/routers/items.py': ROUTER }, 'app.main:app'],
    ['a folder whose files import each other as top-level modules', { 'backend/main.py': `import models\n${APP}`, 'backend/models.py': 'x = 1\n' }, 'backend/main:app'],
    ['src/ as the folder to import from', { 'src/main.py': APP }, 'src/main:app'],
    ['src/ as a package', { 'src/main.py': `from src.db import x\n${APP}`, 'src/db.py': 'x = 1\n' }, 'src.main:app'],
    ['src/ with a package in it', { 'src/shop/__init__.py': '', 'src/shop/main.py': `from shop.db import x\n${APP}`, 'src/shop/db.py': 'x = 1\n' }, 'src/shop.main:app'],
    ['a package that exports its app', { 'shop/__init__.py': 'from .web import app\n', 'shop/web.py': APP }, 'shop.web:app'],
    ['app.py beside a package app/', { 'app.py': `from app.main import app\n`, 'app/__init__.py': '', 'app/main.py': APP }, 'app.py:app'],
    ['app.py beside a folder app/', { 'app.py': `from app.db import x\n${APP}`, 'app/db.py': 'x = 1\n' }, 'app.py:app'],
    ['a folder with a dot in its name', { 'v1.2/main.py': APP }, 'v1.2/main:app'],
    ['the file that imports the others', { 'api.py': APP, 'service.py': `${APP}from api import app as inner\napp.mount("/api", inner)\n` }, 'service:app'],
    ['the app, not a script that starts it', { 'run.py': 'import uvicorn\nfrom server import app\nuvicorn.run(app)\n', 'server.py': APP }, 'server:app'],
    ['the file that adds routes to an imported app', { 'shop/__init__.py': APP, 'main.py': 'from shop import app\n@app.get("/")\ndef root(): ...\n' }, 'main:app'],
    ['the app, not its tests', { 'tests/main.py': APP, 'service.py': APP, 'test_main.py': APP, 'conftest.py': APP }, 'service:app'],
    ['the app, not a router named app', { 'service.py': APP, 'items.py': ROUTER.replace('router =', 'app =') }, 'service:app'],
    ['an app that only running the code shows', { 'main.py': `${APP.replace('app =', 'api =')}from typer import Typer\napp = Typer()\n` }, 'main'],
  ])('%s', (_, files, expected) => {
    expect(served(files)).toBe(expected)
    expect(findings(files).filter((finding) => finding.includes('entrypoint'))).toEqual([])
  }) // prettier-ignore
})

describe('more than one app', () => {
  test('the usual file is served and the finding names the others', () => {
    const files = { 'main.py': APP, 'api.py': APP }
    expect(served(files)).toBe('main:app')
    expect(findings(files)).toEqual([
      'main.py entrypoint-ambiguous warning Found apps in main.py and api.py; main.py is served. Set the entrypoint in the settings of the app to serve another.',
    ])
  })
  test('if no file has a usual name, the owner must choose', () => {
    expect(findings({ 'one.py': APP, 'two.py': APP, 'three.py': APP })).toEqual([
      'one.py entrypoint-ambiguous error Found apps in one.py, three.py and two.py, and none of them imports the others. Set the entrypoint in the settings of the app, such as one:app.',
    ])
  })
  test('a setting decides which app is served', () => {
    expect(findings({ 'one.py': APP, 'two.py': APP }, 'two:app')).toEqual([])
  })
  test('the answer does not depend on the order of the files', () => {
    const files = { 'b/main.py': APP, 'a/main.py': APP, 'web.py': APP }
    const turned = Object.fromEntries(Object.entries(files).reverse())
    expect(validator.check(turned)).toEqual(validator.check(files))
  })
})

describe('a setting', () => {
  const files = {
    'main.py': `${APP}other = FastAPI()\n${FACTORY}`,
    'src/web.py': `import models\n${APP}print(models)\n`,
    'src/models.py': 'x = 1\n',
    'app.py': APP,
  }
  test.each([
    ['main:other', 'main:other'],
    ['main:create_app()', 'main:create_app()'],
    ['main', 'main:app'],
    ['main.py', 'main:app'],
    ['main.py:other', 'main:other'],
    ['./main.py', 'main:app'],
    ['src/web.py', 'src/web:app'],
    ['src/web:app', 'src/web:app'],
  ])('%s', (setting, expected) => {
    expect(served(files, setting)).toBe(expected)
    expect(findings(files, setting)).toEqual([])
  })
  test.each([
    ['api:app', 'api.py entrypoint-missing error The entrypoint is set to api:app, and there is no api.py.'],
    ['src/api:app', 'src/api.py entrypoint-missing error'],
    [
      'main:nothing',
      'main.py no-app-found error The entrypoint is set to main:nothing, and main.py defines no `nothing`.',
    ],
    ['../main.py', ' entrypoint-missing error The entrypoint is set to "../main.py", which names no module.'],
  ])('%s is refused', (setting, expected) => {
    expect(findings(files, setting).find((finding) => finding.includes(' error '))).toContain(expected)
  })
})

describe('only files that the entrypoint imports stop a deploy', () => {
  const BROKEN = 'import requests\neval("1")\ndef f(:\n'
  const errors = (files: Files): string[] =>
    validator.check(files).findings.flatMap(({ file, severity }) => (severity === 'error' ? [file] : []))
  test('errors of a file that nothing imports are warnings', () => {
    const files = {
      'main.py': APP,
      'old.py': BROKEN,
      'tests/test_x.py': 'import pytest\nfrom main import app\n',
    }
    expect(errors(files)).toEqual([])
    expect(findings(files).filter((finding) => / warning /.test(finding)).length).toBeGreaterThan(2)
  })
  test.each<[string, string, Files]>([
    ['import', 'import lib.deep', { 'lib/deep.py': 'import requests\n' }],
    ['from … import module', 'from lib import deep', { 'lib/deep.py': 'import requests\n' }],
    ['an import in a function', 'def f():\n    import lib.deep', { 'lib/deep.py': 'import requests\n' }],
    ['an import by another file', 'import a', { 'a.py': 'import b\n', 'b.py': 'import requests\n' }],
    ['the package around a module', 'import lib.deep', { 'lib/__init__.py': 'import requests\n', 'lib/deep.py': '' }],
    ['importlib.import_module', 'import importlib\nimportlib.import_module("lib.deep")', { 'lib/deep.py': 'import requests\n' }],
  ])('%s reaches a file', (_, code, files) => {
    expect(errors({ 'main.py': `${APP}${code}\n`, ...files })).toEqual([Object.keys(files).at(_.startsWith('the package') ? 0 : -1)])
  }) // prettier-ignore
  test('an import only for types does not count', () => {
    const code = 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lib\n'
    expect(errors({ 'main.py': code + APP, 'lib.py': BROKEN })).toEqual([])
  })
  test('the package of the entrypoint counts', () => {
    expect(errors({ 'app/__init__.py': 'import requests\n', 'app/main.py': APP })).toEqual([
      'app/__init__.py',
    ])
  })
})
