import { describe, expect, test } from 'vitest'
import { APP, places, validate } from './testing.ts'

const inX = (code: string): string[] =>
  validate({ 'app.py': APP, 'x.py': code })
    .filter(({ file }) => file === 'x.py')
    .map(
      (found) =>
        `${found.line}:${found.column}-${found.end_line}:${found.end_column} ${found.rule} ${found.message}`,
    )

describe('syntax-error', () => {
  test.each([
    ['a missing colon', 'def f()\n    pass\n', ['1:8-1:9 syntax-error A `:` is missing at the end of this line.']],
    ['= for ==', 'if x = 1:\n    pass\n', ['1:6-1:7 syntax-error A comparison is written `==`; a single `=` is not allowed here.']],
    ['an open bracket', 'x = [1, 2\n\ndef f():\n    pass\n', ['1:10-1:11 syntax-error A closing `]` is missing.']],
    ['an open bracket at the end', 'f(\n', ['1:3-1:4 syntax-error The file ends too early: a bracket, a quote or an indented block is still open.']],
    ['an open quote', 'x = "abc\ny = 1\n', ['1:5-1:9 syntax-error The closing quote of this text is missing.']],
    ['open triple quotes', 'x = """abc\neval(1)\nimport requests\n', ['1:5-1:11 syntax-error The closing quote of this text is missing.']],
    ['open triple quotes of an f-string', "x = f'''abc\n{y}\neval(1)\n", ['2:4-2:5 syntax-error The closing quote of this f-string is missing.']],
    ['an indent too much', 'x = 1\n    y = 2\n', ['2:1-2:5 syntax-error This line is indented further than the lines it belongs to.']],
    ['an indent too few', 'def f():\nreturn 1\n', ['2:1-2:7 syntax-error Indent the lines that belong to the function definition above.']],
    ['a crooked indent', 'def f():\n    x = 1\n   return x\n', ['3:1-3:4 syntax-error The indentation of this line fits none of the lines above.']],
    ['print', 'print "x"\n', ['1:7-1:10 syntax-error print needs brackets: `print(…)`.']],
    ['typographic quotes', 'x = “a”\n', ['1:5-1:6 syntax-error Typographic quotes (“) are no quotes in Python; write " or \'.']],
    ['after an emoji', 'x = "😀é" +\n', ['1:12-1:13 syntax-error A value is missing here.']],
    ['a tab', 'if True:\n\tx = = 1\n', ['2:6-2:7 syntax-error A value is missing here.']],
    ['BOM and CRLF', '\ufeffx = 1\r\ny = )\r\n', ['2:5-2:6 syntax-error A value is missing here.']],
    ['lone CR', 'x = 1\ry = )\r', ['2:5-2:6 syntax-error A value is missing here.']],
    ['NUL', 'x = 1\0\n', ['1:6-1:7 syntax-error The file holds a NUL character, which Python refuses. Delete it, or save the file as plain UTF-8 text.']],
    ['return outside', 'return 1\n', ['1:1-1:9 syntax-error `return` only works inside a function.']],
    ['await outside', 'def f(g):\n    await g()\n', ['2:5-2:14 syntax-error `await` only works inside an `async def` function.']],
    ['break outside', 'break\n', ['1:1-1:6 syntax-error `break` only works inside a loop.']],
    ['newer Python', 'type X = int\n', ['1:1-1:5 syntax-error Apps run on Python 3.11 and cannot use `type` alias statement: it came with Python 3.12.']],
    ['a try alone', 'try:\n    x = 1\n', ['2:10-2:11 syntax-error A `try:` needs an `except:` or a `finally:`.']],
    ['several', 'x = )\ny = 1\nz = ]\n', ['1:5-1:6 syntax-error A value is missing here.', '3:5-3:6 syntax-error A value is missing here.']],
    ['brackets in brackets in …', `x = ${'('.repeat(300)}1${')'.repeat(300)}\n`, ['1:205-1:206 syntax-error More than 200 brackets are open here; Python allows no more.']],
  ])('%s', (_, code, expected) => {
    expect(inX(code)).toEqual(expected)
  }) // prettier-ignore

  test('the other checks still run, without false findings', () => {
    const code = 'import requests\ndef input(:\n    pass\ninput("x")\neval("1")\nx = eval("2"\n'
    expect(places({ 'app.py': code })).toEqual([
      'app.py:1 import-not-allowed', 'app.py:2 syntax-error', 'app.py:5 blocked-call', 'app.py:6 syntax-error',
    ]) // prettier-ignore
  })

  test('the findings of all files are sorted', () => {
    expect(places({ 'z.py': 'x = )', 'app.py': 'x = )', 'a/b.py': 'import requests\ny = )' })).toEqual([
      'a/b.py:1 import-not-allowed', 'a/b.py:2 syntax-error', 'app.py:1 syntax-error', 'z.py:1 syntax-error',
    ]) // prettier-ignore
  })
})

describe('warnings', () => {
  test.each([
    ['unused-import', 'import os\n', ['1:8-1:10 unused-import `os` imported but unused (F401)']],
    ['undefined-name', 'x = "é😀" + y\n', ['1:13-1:14 undefined-name Undefined name `y` (F821)']],
    ['unused-variable', 'def f():\n    x = 1\n', ['2:5-2:6 unused-variable Local variable `x` is assigned to but never used (F841)']],
    ['redefined-while-unused', 'def f(): ...\ndef f(): ...\n', ['2:5-2:6 redefined-while-unused Redefinition of unused `f` from line 1: `f` redefined here (F811)']],
    ['mutable-default', 'def f(a=[]): return a\n', ['1:9-1:11 mutable-default Do not use mutable data structures for argument defaults (B006)']],
    ['blocking-sleep', 'import time\nasync def f():\n    time.sleep(1)\n', ['3:5-3:15 blocking-sleep-in-async-function Async functions should not call `time.sleep` (ASYNC251)']],
    ['no style', 'import os,sys\nx=os;y = sys ;l=f"x"\nif x == None : pass\n', []],
    ['FastHTML', 'from fasthtml.common import *\napp, rt = fast_app()\n@rt\ndef index(): return Div(H1("x"))\n@rt("/a")\ndef get(): ...\n@rt("/b")\ndef get(): ...\n', []],
    ['noqa', 'import os  # noqa: F401\n', []],
    ['nothing at all', '', []],
  ])('%s', (_, code, expected) => {
    expect(inX(code)).toEqual(expected)
  }) // prettier-ignore

  test('imports that other files use from this file count as used', () => {
    const files = {
      'app.py': 'from main import app\n',
      'main.py': `${APP}from a import x\nprint(x)\n`,
      'a.py': 'from b import x, y\n',
      'b.py': 'x = y = 1\n',
      'pkg/__init__.py': 'from .m import z\n',
      'pkg/m.py': 'z = 1\n',
    }
    expect(validate(files).map(({ file, message }) => `${file} ${message}`)).toEqual([
      'a.py `b.y` imported but unused (F401)',
    ])
  })
})
