import { FILE_LIMITS } from '@fp/sdk/wire'
import { describe, expect, test } from 'vitest'
import { FpError } from '../../errors.ts'
import { checkFiles, toRecord, totalBytes } from './files.ts'
import { hashContents } from './hash.ts'

const APP = { 'app.py': 'app = 1' }

function refusal(files: Record<string, string>): FpError {
  try {
    checkFiles(files)
  } catch (error) {
    if (error instanceof FpError) return error
    throw error
  }
  throw new Error('was accepted')
}

test.each([
  'lib/models.py',
  'static/css/site.css',
  'a.b/c.d.html',
  'README.md',
  'données/été.txt',
  '数据/模型.py',
  'a b/c d.txt',
  '$where.json',
  '-x.py',
  'constructor/prototype.py',
])('%s is a good name', (path) => {
  expect(toRecord(checkFiles({ ...APP, [path]: '' }))).toEqual({ ...APP, [path]: '' })
})

describe('a name is refused', () => {
  test.each([
    ['empty', ''],
    ['absolute', '/etc/passwd.txt'],
    ['a drive', 'C:/x.py'],
    ['leaving', '../x.py'],
    ['leaving in the middle', 'a/../../x.py'],
    ['staying', './x.py'],
    ['backslash', 'a\\b.py'],
    ['leaving by backslash', '..\\x.py'],
    ['NUL', 'a\0.py'],
    ['line break', 'a\nb.py'],
    ['tab', 'a\tb.py'],
    ['DEL', 'a\x7f.py'],
    ['text direction', 'a\u202egpj.py'],
    ['zero width', 'a\u200b.py'],
    ['byte order mark', '\ufeffapp.py'],
    ['line separator', 'a\u2028.py'],
    ['lone surrogate', 'a\ud800.py'],
    ['empty part', 'a//b.py'],
    ['folder', 'a/'],
    ['hidden', '.env.txt'],
    ['hidden folder', '.git/config.txt'],
    ['space at the end of a folder', 'a /b.py'],
    ['space at the start', ' a.py'],
    ['dot at the end of a folder', 'a./b.py'],
    ['wildcard', 'a*.py'],
    ['Python’s cache', '__pycache__/app.py'],
    ['Python’s cache in capitals', 'lib/__PyCache__/app.py'],
    ['long', `${'a'.repeat(198)}.py`],
    ['long in bytes', `${'é'.repeat(100)}.py`],
  ])('%s', (_, path) => {
    const error = refusal({ ...APP, [path]: '' })
    expect(error.code).toBe('FP_FILE_PATH')
    expect(error.statusCode).toBe(422)
    expect(error.message.isWellFormed()).toBe(true)
  })

  test.each([
    ['case', 'App.py', 'app.py'],
    ['accents written in two ways', 'e\u0301.py', '\u00e9.py'],
    ['a folder that is a file', 'a.py/b.py', 'a.py'],
    ['the same in another case', 'A.PY/b.py', 'a.py'],
    ['folders that differ in case', 'Lib/a.py', 'lib/b.py'],
  ])('%s', (_, one, other) => {
    expect(refusal({ ...APP, [one]: '', [other]: '' })).toMatchObject({ code: 'FP_FILE_PATH' })
    expect(refusal({ [other]: '', [one]: '', ...APP })).toMatchObject({ code: 'FP_FILE_PATH' })
  })
})

test.each(['a.exe', 'a', 'lib/Makefile', 'a.PY', 'a.py.bak', 'a.pyc', 'lib.py/a'])(
  '%s has no allowed extension',
  (path) => {
    expect(refusal({ ...APP, [path]: '' })).toMatchObject({
      code: 'FP_FILE_EXTENSION',
      message: expect.stringContaining('.py .css'),
    })
  },
)

test('there must be a Python file, of any name in any folder', () => {
  for (const files of [{}, { 'main.js': '' }]) {
    expect(refusal(files)).toMatchObject({ code: 'FP_ENTRYPOINT_MISSING' })
  }
  expect(checkFiles({ 'src/main.py': '' })).toHaveLength(1)
})

test('sizes count bytes, at the limit and one above', () => {
  const limit = FILE_LIMITS.maxFileBytes
  expect(totalBytes(checkFiles({ 'app.py': 'é'.repeat(limit / 2) }))).toBe(limit)
  expect(refusal({ 'app.py': `${'é'.repeat(limit / 2)}x` })).toMatchObject({
    code: 'FP_FILE_TOO_LARGE',
    message:
      'The file "app.py" has 100.1 KB; at most 100 KB a file are allowed. Upload larger files, other than Python, as assets.',
    details: { file: 'app.py', bytes: limit + 1, limit },
  })
  const full = Object.fromEntries([1, 2, 3, 4].map((n) => [`f${n}.txt`, 'x'.repeat(limit)]))
  expect(checkFiles({ ...full, 'app.py': 'x'.repeat(limit) })).toHaveLength(5)
  expect(refusal({ ...full, 'app.py': 'x'.repeat(limit), 'z.txt': 'x' })).toMatchObject({
    code: 'FP_FILES_TOO_LARGE',
    details: { bytes: FILE_LIMITS.maxTotalBytes + 1, limit: FILE_LIMITS.maxTotalBytes },
  })
})

test('files are counted', () => {
  const many = Object.fromEntries(Array.from({ length: 49 }, (_, n) => [`f${n}.txt`, '']))
  expect(checkFiles({ ...many, ...APP })).toHaveLength(50)
  expect(refusal({ ...many, ...APP, 'z.txt': '' })).toMatchObject({
    code: 'FP_TOO_MANY_FILES',
    details: { count: 51, limit: 50 },
  })
})

test('text that is not valid Unicode is refused, as are other values', () => {
  expect(refusal({ 'app.py': 'a\udc00b' })).toMatchObject({
    code: 'FP_INVALID_FIELDS',
    message: expect.stringContaining('app.py'),
  })
  expect(refusal({ 'app.py': 1 as never })).toMatchObject({ code: 'FP_INVALID_FIELDS' })
})

test('a hash covers names and texts in any order, and shifted contents have another hash', () => {
  const hash = (files: Record<string, string>): string =>
    hashContents(
      Object.entries(files).map(([path, text]) => ({ path, text })),
      [],
    )
  expect(hash({ a: '1', b: '2' })).toBe(hash({ b: '2', a: '1' }))
  expect(hash({ a: '1' })).not.toBe(hash({ a: '2' }))
  expect(hash({ a: '1' })).not.toBe(hash({ b: '1' }))
  expect(hash({ a: '1:b' })).not.toBe(hash({ a1: ':b' }))
  expect(hash({ a: '', b: 'x' })).not.toBe(hash({ a: 'x', b: '' }))
})
