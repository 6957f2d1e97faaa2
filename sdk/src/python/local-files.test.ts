import { expect, test } from 'vitest'
import { APP, validate } from './testing.ts'

/** The positions of the warnings in a file of a valid app. */
const warned = (code: string): string[] =>
  validate({ 'app.py': `${APP}import x\n`, 'x.py': code })
    .filter(({ rule }) => rule === 'local-file')
    .map(({ severity, line, column, end_column }) => `${severity} ${line}:${column}-${end_column}`)

test.each([
  ['sqlite3', 'import sqlite3\nsqlite3.connect("x.db")', ['warning 2:17-23']],
  ['sqlite3, by an alias', 'from sqlite3 import connect as c\nc("./x.db", timeout=3)', ['warning 2:3-11']],
  ['sqlite3, by keyword', 'import sqlite3\nsqlite3.connect(timeout=3, database="x.db")', ['warning 2:37-43']],
  ['sqlite3 in /tmp', 'import sqlite3\nsqlite3.connect("/tmp/x.db")', ['warning 2:17-28']],
  ['SQLAlchemy', 'create_engine("sqlite:///./x.db")', ['warning 1:15-33']],
  ['an address in a variable', 'URL = "sqlite+aiosqlite:///x.db?timeout=3"', ['warning 1:7-43']],
  ['FastHTML', 'from fasthtml.common import *\napp, rt = fast_app("data/todos.db")', ['warning 2:20-35']],
  ['FastHTML’s database', 'from fasthtml.common import *\ndb = database("todos.db")', ['warning 2:15-25']],
  ['open', 'open("log.txt", "a")', ['warning 1:6-15']],
  ['open by keyword', 'open(file="log.txt", mode="r+b")', ['warning 1:11-20']],
  ['Path', 'from pathlib import Path\nPath("x/y.txt").write_text("z")', ['warning 2:6-15']],
])('%s: a file that does not last is told', (_, code, places) => {
  expect(warned(code)).toEqual(places)
})

test.each([
  ['memory', 'import sqlite3\nsqlite3.connect(":memory:")\nURL = "sqlite://"\nV = "sqlite:///:memory:"'],
  ['app storage', 'import os, sqlite3\nsqlite3.connect(os.environ["PLATFORM_DATA_DIR"] + "/x.db")'],
  [
    'the folder of app storage',
    'import sqlite3\nsqlite3.connect("/data/x.db")\nURL = "sqlite:////data/x.db"',
  ],
  ['reading', 'open("x.csv")\nopen("x.csv", "rb")\nopen("x.csv", newline="")'],
  ['scratch files', 'open("/tmp/x", "w")'],
  ['another open', 'import gzip\ngzip.open("x.gz", "w")\ndef f(open):\n    open("x", "w")'],
  ['documentation', '"""sqlite:///x.db"""\n# sqlite:///x.db'],
  [
    'what is put together',
    'def f(name, *a):\n    open(name, "w")\n    open(*a, "w")\n    open(f"{name}.txt", "w")',
  ],
])('%s is left alone', (_, code) => expect(warned(code)).toEqual([]))

test('the warning says which files do not last, and how to keep data', () => {
  const [finding] = validate({ 'app.py': `${APP}import sqlite3\ndb = sqlite3.connect("x.db")\n` }).filter(
    ({ rule }) => rule === 'local-file',
  )
  expect(finding).toMatchObject({
    severity: 'warning',
    message: expect.stringMatching(/"x\.db".*PLATFORM_MONGO_URI.*PLATFORM_DATA_DIR/),
  })
})
