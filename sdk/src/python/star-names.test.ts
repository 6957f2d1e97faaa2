import { expect, test } from 'vitest'
import { validate } from './testing.ts'

const START = 'from fasthtml.common import *\napp, rt = fast_app()\n'
const missing = (code: string, others: Record<string, string> = {}): string[] =>
  validate({ 'app.py': START + code, ...others })
    .filter(({ rule }) => rule === 'name-not-imported')
    .map(({ line, message, severity }) => `${line} ${severity} ${message}`)

test('the finding about a name that a star import no longer exports says what to import', () => {
  expect(missing('def get():\n    return Card(P("x")), Card()\n')).toEqual([
    '4 error Card is not defined: `from fasthtml.common import *` does not bring it. Write `from fasthtml.pico import *` too.',
  ])
  expect(missing('Rect(1)\n')[0]).toContain('`from fasthtml.svg import *`')
  expect(missing('json.dumps(1)\n')[0]).toContain('`import json`')
  expect(missing('db = database("a.db")\n')[0]).toContain('MongoDB')
})

test.each<[string, string, Record<string, string>?]>([
  ['imported', 'from fasthtml.pico import *\nCard()\n'],
  ['imported by name', 'from fasthtml.pico import Card\nCard()\n'],
  ['imported from a library that may export it', 'from monsterui.all import *\nCard()\n'],
  ['defined here', 'def Card(*c): ...\nCard()\nclass Grid: ...\nGrid()\n'],
  ['a parameter', 'def f(time, *, json=1):\n    return time, json\n'],
  ['an attribute or a keyword', 'f.Card(Grid=1).json()\n'],
  ['from a star import of a file of the app', 'from parts import *\nCard()\n', { 'parts.py': 'def Card(): ...\n' }],
  ['imported by a file of the app', 'from parts import *\nCard()\n', { 'parts.py': 'from fasthtml.pico import Card\n' }],
  ['names that it does export', 'Titled("x", P(), Svg())\n'],
])('a name that is %s is left alone', (_, code, others) => {
  expect(missing(code, others)).toEqual([])
}) // prettier-ignore

test('without the star import the linter says that a name is undefined', () => {
  const code = 'from fasthtml.common import fast_app\napp, rt = fast_app()\nCard()\n'
  expect(validate({ 'app.py': code }).map(({ rule }) => rule)).toEqual(['undefined-name'])
})
