import { expect, test } from 'vitest'
import { parseEnvFile } from './env-file.ts'
import { jsonTokens, prettyJson } from './json-tokens.ts'
import { findRoutes, pathWithin } from './routes.ts'
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

test('reads a pasted .env file as dotenv does', () => {
  const text = [
    '# c',
    'export A=1',
    'B="x # y"',
    '',
    'C = two words # note',
    'A=2',
    'LINES="l1\\nl2"',
    'KEY="-----BEGIN',
    'X=1',
    '-----END" # of the key',
    "RAW='a\\nb'",
    'HASH=abc#def',
    'EMPTY=',
    'NOTE= # nothing',
  ]
  expect(parseEnvFile(text.join('\r\n'))).toEqual({
    pairs: [
      ['A', '2'],
      ['B', 'x # y'],
      ['C', 'two words'],
      ['LINES', 'l1\nl2'],
      ['KEY', '-----BEGIN\nX=1\n-----END'],
      ['RAW', 'a\\nb'],
      ['HASH', 'abc#def'],
      ['EMPTY', ''],
      ['NOTE', ''],
    ],
    reserved: [],
    unknown: [],
  })
})

test('names the parts of a pasted .env file that are left out', () => {
  const text = 'A=1\nnonsense\nPORT=80\nLD_PRELOAD=x\nmy-name=1\nB="never closed'
  expect(parseEnvFile(text)).toEqual({
    pairs: [['A', '1']],
    reserved: ['PORT', 'LD_PRELOAD'],
    unknown: [2, 5, 6],
  })
})

test('an address of the app is cut to its path', () => {
  const url = 'http://app-a.localhost:8080/'
  expect(pathWithin('http://app-a.localhost:8080/items?q=1#x', url)).toBe('/items?q=1')
  expect(pathWithin('app-a.localhost:8080/items', url)).toBe('/items')
  expect(pathWithin(' items', url)).toBe('/items')
  expect(pathWithin('/go?to=http://other/', url)).toBe('/go?to=http://other/')
  expect(() => pathWithin('https://example.com/', url)).toThrow('this app')
})
