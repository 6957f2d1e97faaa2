import { expect, test } from 'vitest'
import { parseEnv } from './env-file.ts'
import { jsonTokens, prettyJson } from './json-tokens.ts'
import { findRoutes } from './routes.ts'
import { parseTraceback } from './traceback.ts'

test('a traceback links to the files of the app only', () => {
  const text = [
    'Traceback (most recent call last):',
    '  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module',
    '  File "/app/routers/app.py", line 12, in read',
    '    return data["x"]',
    "KeyError: 'x'",
    '',
  ].join('\n')
  const lines = parseTraceback(text, ['app.py', 'routers/app.py', '__init__.py'])
  expect(lines.map((parts) => parts.map((part) => part.text).join(''))).toEqual(text.trimEnd().split('\n'))
  expect(lines.flat().filter((part) => part.target)).toEqual([
    { text: 'File "/app/routers/app.py", line 12', target: { file: 'routers/app.py', line: 12 } },
  ])
})

test('finds the routes of FastAPI and FastHTML', () => {
  const code =
    '@app.get("/")\n@router.post(\n  "/items/{id}")\n# @x\n@rt("/todo")\n@app.get(path=\'/b\')\nx.get("/no")'
  expect(findRoutes({ 'app.py': code, 'a.md': '@app.get("/md")' })).toEqual([
    { method: 'GET', path: '/' },
    { method: 'POST', path: '/items/{id}' },
    { method: 'GET', path: '/b' },
    { method: 'GET', path: '/todo' },
  ])
})

test('cuts JSON into tokens without losing anything', () => {
  const text = prettyJson('{"a \\" b":[1,-2.5e3,true,null,"x: 1"]}') ?? ''
  const tokens = jsonTokens(text)
  expect(tokens.map((token) => token.text).join('')).toBe(text)
  expect(tokens.filter((token) => token.kind !== 'plain').map((token) => token.kind)).toEqual([
    'key',
    'number',
    'number',
    'word',
    'word',
    'string',
  ])
  expect(prettyJson('<p>1</p>')).toBeUndefined()
  expect(prettyJson('{no')).toBeUndefined()
})

test('reads a pasted .env file', () => {
  expect(parseEnv('# c\nexport A=1\nB="x # y"\n\nC = two words # note\nnonsense\nA=2')).toEqual([
    ['A', '2'],
    ['B', 'x # y'],
    ['C', 'two words'],
  ])
})
