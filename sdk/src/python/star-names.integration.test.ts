import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { STAR_NAMES } from './star-names.ts'

const PYTHON = resolve(import.meta.dirname, '../../../.fp/venv/bin/python')

test('the installed library exports none of the names from fasthtml.common, and each from the advised module', () => {
  const advised = [...STAR_NAMES].flatMap(([name, advice]) => {
    const module = /from ([\w.]+) import \*/.exec(advice)?.[1]
    return module === undefined ? [] : [[module, name]]
  })
  const code = `
import importlib, json, sys
names, advised = json.loads(sys.argv[1])
common = {}
exec("from fasthtml.common import *", common)
wrong = [name for name in names if name in common]
for module, name in advised:
    found = {}
    exec(f"from {module} import *", found)
    wrong += [] if name in found else [f"{module}.{name}"]
print(json.dumps(wrong))
`
  const argument = JSON.stringify([[...STAR_NAMES.keys()], advised])
  expect(JSON.parse(execFileSync(PYTHON, ['-c', code, argument], { encoding: 'utf8' }))).toEqual([])
})
