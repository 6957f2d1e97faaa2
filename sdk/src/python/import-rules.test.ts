import { describe, expect, test } from 'vitest'
import { DEFAULT_ALLOWED_IMPORTS } from './allow-list.ts'
import { APP, errorsOf, validate } from './testing.ts'

const FILES = {
  'models/__init__.py': '',
  'models/user.py': 'class User: ...\n',
  'plain/thing.py': 'x = 1\n',
  'plain/deep/er.py': 'y = 1\n',
  'helpers.py': 'def help(): ...\n',
  'static/site.css': '',
}
const at = (path: string, code: string): string[] =>
  validate({
    'app.py':
      path === 'app.py' ? APP + code : `${APP}import ${path.replace(/\.py$/, '').replaceAll('/', '.')}\n`,
    ...FILES,
    [path]: code,
    ...(path === 'app.py' && { 'app.py': APP + code }),
  })
    .filter(({ severity, file }) => severity === 'error' && file === path)
    .map(({ rule, message }) => `${rule}: ${message}`)

describe('allowed', () => {
  test.each([
    'import os, sys, json', 'import os.path', 'from __future__ import annotations', 'from fastapi.responses import HTMLResponse',
    'from fasthtml.common import *', 'import pydantic_core', 'from bson import ObjectId', 'import httpx as h',
    'import helpers', 'import models.user', 'from models.user import User', 'from models import user, anything',
    'from plain import thing', 'import plain.deep.er as e', 'from plain.deep import er', 'import plain', 'import static',
    'from importlib import metadata', 'import importlib.resources', 'def f():\n    import helpers', 'from . helpers import x'.replace('. ', ''),
  ])('%s', (code) => {
    expect(at('x.py', code)).toEqual([])
  }) // prettier-ignore

  test.each([
    ['models/other.py', 'from .user import User'],
    ['models/other.py', 'from . import user'],
    ['models/__init__.py', 'from .user import User'],
    [
      'models/other.py',
      'from importlib import import_module as load\nload(".user", package=__package__)\nload(".user", "models")',
    ],
    [
      'plain/deep/z.py',
      'from ..thing import x\nfrom .. import thing\nfrom .er import y\nfrom ..deep.er import y',
    ],
  ])('relative, in %s: %s', (path, code) => {
    expect(at(path, code)).toEqual([])
  })
})

describe('import-not-allowed', () => {
  test.each([
    ['import requests', 'requests is not available to apps: use httpx.'],
    ['import flask', 'write the API with FastAPI'],
    ['from flask import Flask', 'write the API with FastAPI'],
    ['import numpy as np', 'numpy is not available'],
    ['import aiosqlite', 'PLATFORM_MONGO_URI'],
    ['import motor.motor_asyncio', 'AsyncMongoClient'],
    ['import helper', 'your own `helpers`'],
    ['import hlepers', 'your own `helpers`'],
    ['import fastpi', 'Did you mean `fastapi`?'],
    ['import user', '`from models import user`'],
    ['import some_unknown_thing', 'some_unknown_thing is not available'],
    ['def f():\n    import requests', 'use httpx'],
    ['try:\n    import ujson\nexcept ValueError:\n    pass', 'use json or orjson'],
    ['try:\n    pass\nexcept ImportError:\n    import ujson', 'use json or orjson'],
    ['import importlib\nimportlib.import_module("requests")', 'use httpx'],
    ['import os, requests', 'use httpx'],
    ['import sys\nif sys.version_info >= (3, 11):\n    import tomli', 'use tomllib'],
    ['import sys\nif sys.platform == "linux":\n    import uvloop_x', 'not available'],
    ['from numpy import (\n    a,\n    b as c,\n)', 'numpy'],
    ['from numpy import *', 'numpy'],
  ])('%s', (code, words) => {
    const found = at('x.py', code)
    expect(found.filter((text) => text.startsWith('import-not-allowed'))).toHaveLength(1)
    expect(found[0]).toContain(words)
  })

  test.each(['ctypes', 'socketserver', 'fcntl', 'runpy', 'code',
    'codeop', 'marshal', 'pickle', 'mmap', 'shelve', 'pdb', 'imp', '_thread'])('%s is not offered', (name) => {
    expect(DEFAULT_ALLOWED_IMPORTS).not.toContain(name)
    expect(errorsOf(`import ${name}`).map(({ rule }) => rule)).toEqual(['import-not-allowed'])
  }) // prettier-ignore

  test.each([
    'try:\n    import ujson\nexcept ImportError:\n    ujson = None',
    'try:\n    import numpy as np\nexcept (ModuleNotFoundError, AttributeError) as error:\n    np = None',
    'try:\n    from missing.deep import x\nexcept Exception:\n    x = None',
    'try:\n    import numpy\nexcept:\n    numpy = None',
    'from contextlib import suppress\nwith suppress(ImportError):\n    import numpy',
    'import importlib\ntry:\n    numpy = importlib.import_module("numpy")\nexcept ImportError:\n    numpy = None',
    'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy',
    'if __name__ == "__main__":\n    import gunicorn',
    'import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib',
    'import sys\nif sys.version_info < (3, 9):\n    import backports.zoneinfo',
    'import sys, os\nif sys.platform == "win32":\n    import winloop\nif os.name != "posix":\n    import msvcrt',
  ])('an import that may fail, or never runs, may name anything: %s', (code) => {
    expect(at('x.py', code)).toEqual([])
  })

  test('the finding is positioned at the module', () => {
    expect(errorsOf('import os, requests.auth as r')).toMatchObject([
      { file: 'x.py', line: 1, column: 12, end_line: 1, end_column: 25 },
    ])
  })

  test('a custom list replaces the default one; dotted entries allow only that submodule', () => {
    const rules = (code: string): string[] =>
      validate({ 'app.py': `${code}\napp = f()\n` }, { allowedImports: ['xml.etree', 'numpy'] })
        .filter(({ severity }) => severity === 'error')
        .map(({ rule }) => rule)
    expect(
      rules(
        'import xml.etree.ElementTree as E\nfrom xml import etree\nfrom xml.etree import ElementTree\nimport numpy.linalg',
      ),
    ).toEqual([])
    expect(rules('import os')).toEqual(['import-not-allowed'])
    expect(rules('from xml import sax')).toEqual(['import-not-allowed'])
    expect(rules('import xml.sax')).toEqual(['import-not-allowed'])
  })
})

describe('module-not-found', () => {
  test.each([
    ['x.py', 'from models.usr import User', 'Did you mean `models.user`?'],
    ['x.py', 'import models.nothing_like_it', 'models/nothing_like_it.py'],
    ['x.py', 'from plain import thin', 'Did you mean `plain.thing`?'],
    ['x.py', 'from helpers.sub import x', 'helpers.py is a file, not a folder'],
    ['models/z.py', 'from .usr import User', 'Did you mean `models.user`?'],
    ['plain/z.py', 'from . import thnig', 'Did you mean `plain.thing`?'],
    ['plain/deep/z.py', 'from ..thin import x', 'Did you mean `plain.thing`?'],
    ['app.py', 'from .helper import y', 'Did you mean `helpers`?'],
    ['app.py', 'from . import nope', 'nope.py'],
  ])('in %s: %s', (path, code, words) => {
    const found = at(path, code)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(/^module-not-found/)
    expect(found[0]).toContain(words)
  })
})

describe('relative-import-outside', () => {
  test.each([
    ['app.py', 'from .helpers import help', '`from helpers import …`'],
    ['x.py', 'from . import helpers', '`import helpers`'],
    ['x.py', 'from ..helpers import help', 'not inside a folder'],
    ['models/z.py', 'from ..helpers import help', '`from helpers import …`'],
    ['plain/deep/z.py', 'from ....x import y', 'outside'],
  ])('in %s: %s', (path, code, words) => {
    const found = at(path, code)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(/^relative-import-outside/)
    expect(found[0]).toContain(words)
  })
})
