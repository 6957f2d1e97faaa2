import { expect, test } from 'vitest'
import { APP, validate } from './testing.ts'

const cycles = (files: Record<string, string>): string[] =>
  validate(files)
    .filter(({ rule }) => rule === 'import-cycle')
    .map(
      ({ file, line, message, severity }) =>
        `${file}:${line} ${severity} ${/: (.*?)\. The/.exec(message)?.[1] ?? message}`,
    )

test.each<[string, Record<string, string>, string[]]>([
  ['two files', { 'app.py': `${APP}import models\n`, 'models.py': 'import os\nfrom app import app\n' },
    ['models.py:2 warning app.py → models.py → app.py']],
  ['three files', { 'app.py': `${APP}import a\n`, 'a.py': 'import b\n', 'b.py': 'import app\n' },
    ['b.py:1 warning app.py → a.py → b.py → app.py']],
  ['away from the entrypoint', { 'app.py': APP, 'b.py': 'import c\n', 'c.py': 'import b\n' },
    ['c.py:1 warning b.py → c.py → b.py']],
  ['entered in the middle', { 'a.py': 'import b\n', 'b.py': 'import a\n', 'app.py': `${APP}import b\n` },
    ['a.py:1 warning b.py → a.py → b.py']],
  ['two circles', { 'app.py': `${APP}import a, b\n`, 'a.py': 'import app\n', 'b.py': 'import app\n' },
    ['a.py:1 warning app.py → a.py → app.py', 'b.py:1 warning app.py → b.py → app.py']],
  ['two circles that close at one import', { 'app.py': `${APP}import a, b\n`, 'a.py': 'import c\n', 'b.py': 'import c\n', 'c.py': 'import app\n' },
    ['c.py:1 warning app.py → a.py → c.py → app.py', 'c.py:1 warning app.py → b.py → c.py → app.py']],
  ['itself', { 'app.py': `import app\n${APP}` }, ['app.py:1 warning app.py → app.py']],
  ['packages', { 'app.py': `${APP}from pkg import a\n`, 'pkg/__init__.py': '', 'pkg/a.py': 'from . import b\n', 'pkg/b.py': 'from .a import x\n' },
    ['pkg/b.py:1 warning pkg/a.py → pkg/b.py → pkg/a.py']],
  ['a package file that gathers its parts is none', { 'app.py': `${APP}import pkg\n`, 'pkg/__init__.py': 'from .a import x\nfrom .b import y\n', 'pkg/a.py': 'from . import b\nx = 1\n', 'pkg/b.py': 'y = 1\n' }, []],
  ['a part that imports from its package', { 'app.py': `${APP}import pkg\n`, 'pkg/__init__.py': 'from .a import x\n', 'pkg/a.py': 'from . import x\n' },
    ['pkg/a.py:1 warning pkg/__init__.py → pkg/a.py → pkg/__init__.py']],
  ['in a try', { 'app.py': `${APP}try:\n    import a\nexcept ImportError:\n    pass\n`, 'a.py': 'import app\n' },
    ['a.py:1 warning app.py → a.py → app.py']],
  ['TYPE_CHECKING', { 'app.py': `${APP}import a\n`, 'a.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app import app\n' }, []],
  ['typing.TYPE_CHECKING', { 'app.py': `${APP}import a\n`, 'a.py': 'import typing\nif typing.TYPE_CHECKING:\n    from app import app\n' }, []],
  ['else of TYPE_CHECKING', { 'app.py': `${APP}import a\n`, 'a.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import app\n' },
    ['a.py:5 warning app.py → a.py → app.py']],
  ['in a function', { 'app.py': `${APP}import a\n`, 'a.py': 'def f():\n    from app import app\n    return app\n' }, []],
  ['no circle', { 'app.py': `${APP}import a, b\n`, 'a.py': 'import b\n', 'b.py': '' }, []],
])('%s', (_, files, expected) => {
  expect(cycles(files)).toEqual(expected)
}) // prettier-ignore

test('40 files that all import each other are checked quickly', () => {
  const names = Array.from({ length: 40 }, (_, i) => `m${i}`)
  const files = Object.fromEntries(
    names.map((name) => [
      `${name}.py`,
      names
        .filter((other) => other !== name)
        .map((other) => `import ${other}\n`)
        .join(''),
    ]),
  )
  const found = cycles({ 'app.py': `${APP}import m0\n`, ...files })
  expect(found.length).toBeGreaterThan(0)
  expect(new Set(found).size).toBe(found.length)
})
