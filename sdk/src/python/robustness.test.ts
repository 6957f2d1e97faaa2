import { describe, expect, test } from 'vitest'
import type { Finding } from '../wire/deployments.ts'
import { firstOfAll } from './findings.ts'
import { APP, validate } from './testing.ts'
import { createValidator, MAX_WORK } from './validator.ts'

const SOURCES = [
  `${APP}@app.get("/{x}")\nasync def read(x: int, q: str | None = None) -> dict:\n    """Doc"""\n    return {"x": f"{x!r:>{10}}", **{"q": q}}\n`,
  'from fasthtml.common import *\nimport os as o\napp, rt = fast_app()\n@rt("/")\ndef get(): return Titled("é😀", *[Li(i) for i in range(3) if (n := i)])\no.system("x")\n',
  'from .a.b import (c as d, e)\ntry:\n    from os import system\nexcept* (ValueError, E) as e:\n    pass\nelse:\n    eval("1")\nmatch x:\n    case {"a": [1, *rest], **kw} | A(b=2):\n        lambda *a, b=1, **c: (yield)\nclass B(A, metaclass=M):\n    async def __call__(self): await self.x()\n',
]
const PIECES = ['(', ')', '[', '{', '}', '"', "'", '"""', "f'''{", '\\', '\n', '\r\n', '\r', '\t', '    ', '\0', '\ufeff', '\ud800', '\udc00', '😀', ':', ',', '=', ':=', '@', '*', '**', 'async ', 'def ', 'class ', 'import ', 'from . import ', 'from ', 'lambda: ', 'if ', 'else:', 'match ', 'case _:', 'eval', 'app', 'global app\n', '__builtins__["eval"]', '#', ';', '.', '...', '\x0c', '\u2028', '0x', '1e', 'é'] // prettier-ignore

/** mulberry32: a small random number generator with a seed. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** Expects that all positions exist in the text as an editor shows it, and that no finding is repeated. */
function expectSound(findings: readonly Finding[], files: Record<string, string>): void {
  expect(new Set(findings.map((found) => JSON.stringify(found))).size).toBe(findings.length)
  for (const found of findings) {
    const lines = (files[found.file] ?? '').replace(/^\ufeff/, '').split(/\r\n?|\n/)
    const line = lines[found.line - 1]
    const last = lines[found.end_line - 1]
    const what = JSON.stringify({ found, line })
    expect(line, what).toBeDefined()
    expect(found.column, what).toBeGreaterThanOrEqual(1)
    expect(found.column, what).toBeLessThanOrEqual((line?.length ?? 0) + 1)
    expect(found.end_column, what).toBeLessThanOrEqual((last?.length ?? 0) + 2)
    expect(found.end_line > found.line || found.end_column >= found.column, what).toBe(true)
  }
}

test('1,500 mangled sources throw nothing and have valid positions', () => {
  const random = seeded(20_260_901)
  const pick = (from: readonly string[]): string => from[random(from.length)] ?? ''
  for (let round = 0; round < 1500; round++) {
    let text = pick(SOURCES)
    for (let edits = 1 + random(6); edits > 0; edits--) {
      const at = random(text.length + 1)
      const cut = random(3) === 0 ? random(40) : 0
      text = text.slice(0, at) + pick(PIECES).repeat(1 + random(3)) + text.slice(at + cut)
    }
    const files = { 'app.py': text, 'a/b.py': pick(SOURCES).slice(0, random(300)) }
    expectSound(validate(files), files)
  }
}, 60_000)

const K100 = 100 * 1024
const fill = (piece: string): string => piece.repeat(Math.ceil(K100 / piece.length)).slice(0, K100)
const nested = (open: string, middle: string, close: string, times: number): string =>
  open.repeat(times) + middle + close.repeat(times)

describe('100 KB of', () => {
  test.each([
    ...['(', '([{', ')', '"', "'", '"""', `"'`, 'f"{', '\\', '\\\n', ' \\\n', '\n', ' ', '\t', ' \n', '#\n', '\0', '\ufeff', '\ud800', '😀', 'é,', 'a,', ';', ':', '=', '*', '-', 'not ', 'lambda: ', 'a if b else ', 'a+', 'a**', 'a = ', 'app = ', 'x ', 'def f(:\n', 'def f():\n', 'class A:\n', 'if x:\n', '@a\n', 'import a\n', 'eval(', 'eval;', 'async ', 'await ', 'from ', '.', 'x: ', 'é = = \n', '{"a":', 'print "x"\n', 'f(a, *b)\n'].map((piece): [string, string] => [JSON.stringify(piece), fill(piece)]), // prettier-ignore
    ['a long line', `x = "${'a'.repeat(K100)}"`],
    ['brackets', nested('(', '1', ')', 50_000)],
    ['calls', nested('f(', '1', ')', 150)],
    ['attributes', `x = a${'.b'.repeat(50_000)}`],
    ['method calls', `x = a${'.b()'.repeat(20_000)}`],
    ['a sum', `x = ${'a + '.repeat(25_000)}a`],
    ['aliases', Array.from({ length: 6000 }, (_, i) => `a${i + 1} = a${i}`).join('\n')],
    ['indents', Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}if x:\n`).join('')],
    ['dots', `from ${'.'.repeat(K100)} import x`],
    ['a dotted name', `import ${'a.'.repeat(50_000)}b`],
    ['names', `from x import ${'abcdef, '.repeat(12_000)}y`],
  ])(
    '%s',
    (_, text) => {
      const files = { 'app.py': text }
      const findings = validate(files)
      if (findings.length < 2_000) expectSound(findings, files)
    },
    // Code that takes quadratic time took up to 50 s here; other code takes far less than this limit.
    20_000,
  )
})

test('unusual paths throw nothing', () => {
  const files = {
    'app.py': APP,
    '.py': 'x',
    '/x.py': '',
    'a//b.py': '',
    '../x.py': 'from . import y',
    '__proto__.py': '',
    '__init__.py': '',
    'ä.py': '',
    'a b.py': 'x',
    '': 'x',
    '/': '',
  }
  expect(() => validate(files)).not.toThrow()
})

test('the validator still works after text that overflows a stack', () => {
  for (const text of [
    nested('-', 'x', '', 90_000),
    nested('lambda: ', 'x', '', 10_000),
    nested('f"{', '', '', 199),
    nested('a if (b) else ', '', '', 5000),
  ]) {
    validate({ 'app.py': text })
    expect(validate({ 'app.py': `${APP}import os\n` }).map(({ rule }) => rule)).toEqual(['unused-import'])
  }
})

function app50(): Record<string, string> {
  const route = (i: number): string =>
    `@router.get("/items${i}/{item_id}")\nasync def read${i}(item_id: int, q: str | None = None):\n    """Read one."""\n    found = await db.items.find_one({"_id": item_id, "owner": q})\n    if found is None:\n        raise HTTPException(404, f"no item {item_id}")\n    return {"item": found, "count": len(found["xs"]) + 1}\n\n`
  const body = `from fastapi import APIRouter, HTTPException\nfrom db import db\nrouter = APIRouter()\n${Array.from({ length: 33 }, (_, i) => route(i)).join('')}`
  const files = Object.fromEntries(Array.from({ length: 48 }, (_, i) => [`routes/r${i}.py`, body]))
  return { 'app.py': APP, 'db.py': 'db = None\n', ...files }
}

test('50 files of 10 KB are checked repeatedly', () => {
  const files = app50()
  expect(Object.values(files).join('').length).toBeGreaterThan(400_000)
  expect(validate(files)).toEqual([])
  expect(validate(files)).toEqual([])
}, 30_000)

test('1,000 validations do not leak memory', () => {
  const files = {
    'app.py': `${SOURCES.join('\n')}\n`,
    'b.py': SOURCES[0] ?? '',
    'broken.py': `${SOURCES[2]}(`,
  }
  const run = (times: number): number => {
    for (let i = 0; i < times; i++) validate(files)
    return process.memoryUsage().external // includes the memory of WebAssembly, which never shrinks
  }
  const warm = run(100)
  const grown = run(1000) - warm
  // If trees were not deleted, each would take 80 KB for 50 lines: here more than 100 MB in total.
  expect(grown / 1e6).toBeLessThan(10)
}, 60_000)

describe('code that is made to take long', () => {
  const many = (text: (n: number) => string, count = 12): Record<string, string> => ({
    'app.py': APP,
    ...Object.fromEntries(Array.from({ length: count }, (_, n) => [`m${n}.py`, text(n)])),
  })

  test('files that import each other’s names are searched once each, not once for each path of imports', () => {
    const stars = Array.from({ length: 12 }, (_, n) => `from m${n} import *\n`).join('')
    const names = Array.from({ length: 36 }, (_, n) => `from m${n % 12} import app, create_app\n`).join('')
    // Without a cache there would be more than 12 to the power of ten paths.
    expect(validate(many(() => stars)).some(({ severity }) => severity === 'error')).toBe(false)
    expect(validate(many(() => names)).length).toBeGreaterThan(0)
  }, 60_000)

  test('a file with too many findings gets the first ones, errors before warnings, and a finding about the rest', () => {
    const findings = validate({ 'app.py': `${APP}${'import a1\n'.repeat(500)}${'eval("1")\n'.repeat(5000)}` })
    expect(findings.filter(({ severity }) => severity === 'error')).toHaveLength(100)
    expect(findings.filter(({ rule }) => rule === 'more-findings')).toHaveLength(1)
    expect(findings.length).toBe(101)
  })

  test('ruff only checks the syntax of a file with too many names, and a finding says so', () => {
    const text = `import m0\n${'a;b;c\n'.repeat(12_000)}eval(a)\n`
    const findings = validate(many((n) => (n === 0 ? `${text}break\n` : text), 2))
    const found = findings.map(({ file, line, rule }) => `${file}:${line} ${rule}`)
    expect(found).toContain('m0.py:1 too-many-names')
    // Syntax errors, and the findings of this package itself, are still reported.
    expect(found).toContain('m0.py:12003 syntax-error')
    expect(found).toContain('m1.py:12002 blocked-call')
    expect(found.some((each) => each.endsWith('undefined-name'))).toBe(false)
  })

  test('an endless broken line is reported once', () => {
    expect(validate({ 'app.py': `${APP}${'1 '.repeat(40_000)}\n` }).map(({ rule }) => rule)).toEqual([
      'syntax-error',
    ])
  })

  test('the first 200 findings of all files are kept, errors first, and one more counts the rest', () => {
    const findings = validate(many(() => `import a1\n${'eval("1")\n'.repeat(150)}`, 5))
    expect(findings.length).toBeGreaterThan(500)
    const told = firstOfAll(findings)
    const last = told.at(-1)
    expect(told).toHaveLength(201)
    expect(told.slice(0, 200).every(({ severity }) => severity === 'error')).toBe(
      findings.filter(({ severity }) => severity === 'error').length >= 200,
    )
    expect(last).toMatchObject({ rule: 'more-findings', severity: 'warning' })
    expect(last?.message).toMatch(new RegExp(`^${findings.length - 200} more findings`))
    expect(firstOfAll(findings.slice(0, 200))).toHaveLength(200)
  })

  test('a check that takes too much work ends with a finding that names the first unchecked file', () => {
    let now = 0
    const parse = (): undefined => void (now += MAX_WORK / 2 + 1)
    const slow = createValidator({
      parser: { parse },
      linter: { check: () => [], checkSyntax: () => [] },
      now: () => now,
    })
    const { findings, entrypoint } = slow.check({ 'app.py': 'x', 'b.py': 'x', 'c.py': 'x', 'd.py': 'x' })
    expect(findings).toEqual([
      expect.objectContaining({ file: 'c.py', rule: 'too-much-to-check', severity: 'error' }),
    ])
    expect(entrypoint).toBeNull()
  })
})
