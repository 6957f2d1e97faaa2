import { FILE_LIMITS } from '@fp/sdk/wire'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { largestDraft, TRIVIAL_APP } from './lib.ts'

type Files = Record<string, string>

const { maxFiles, maxFileBytes, maxTotalBytes } = FILE_LIMITS
const VENV = join(import.meta.dirname, '../.fp/venv/lib/python3.11/site-packages')

/** Drafts of the largest allowed size: ordinary code, and code made to be slow to check. */
export async function validationInputs(): Promise<Record<string, Files>> {
  return {
    'ordinary app, 30 KB': await libraryCode(30 * 1024, 30 * 1024),
    'ordinary code, 500 KB in 5 files': await libraryCode(maxTotalBytes, maxFileBytes),
    'ordinary code, 500 KB in 50 files': await libraryCode(maxTotalBytes, maxTotalBytes / maxFiles),
    'small functions, 50 files': largestDraft(),
    'tuples of 50,000 numbers': five('x = (', '1,', ')\n'),
    'calls in lists': five('x = [', 'f(a),', ']\n'),
    'very long lines': five('x = a', '+b.c', '\n'),
    'nested brackets': five('', `${'['.repeat(90)}1${']'.repeat(90)}\n`, ''),
    'nested calls': five('', `${'f('.repeat(90)}1${')'.repeat(90)}\n`, ''),
    'method chains': five('', `a${'.b()'.repeat(100)}\n`, ''),
    'short statements': five('', 'a=b\n', ''),
    'names that are not defined': five('', 'a;b;c\n', ''),
    'blocked calls': five('', 'eval(x)\n', ''),
    'imports that are not allowed': five('', 'import a\n', ''),
    'syntax errors': five('', 'def f(:\n', ''),
    'broken at once, then ordinary': await broken(),
  }
}

/** An app, and five files of the largest size. Each file has `before`, `piece` as often as it fits, and `after`. */
function five(before: string, piece: string, after: string): Files {
  const room = maxFileBytes - before.length - after.length - 200
  const text = `${before}${piece.repeat(Math.floor(room / piece.length))}${after}`
  const files: Files = { 'app.py': `${TRIVIAL_APP}\nimport m0, m1, m2, m3, m4\n` }
  for (let n = 0; n < 5; n++) files[`m${n}.py`] = text
  return files
}

async function broken(): Promise<Files> {
  const files = await libraryCode(maxTotalBytes, maxFileBytes - 20)
  for (const [name, text] of Object.entries(files)) if (name !== 'app.py') files[name] = `x = (\n${text}`
  return files
}

/** Code of the libraries that apps may import: whole top-level statements of one library file after the other, in files of one size. */
async function libraryCode(total: number, each: number): Promise<Files> {
  const statements: string[] = []
  for (const name of ['fastapi', 'starlette', 'httpx', 'pydantic']) {
    for (const entry of (await readdir(join(VENV, name), { recursive: true })).toSorted()) {
      if (!entry.endsWith('.py')) continue
      const text = await readFile(join(VENV, name, entry), 'utf8')
      const code = text.replaceAll(/^from __future__.*$/gm, '').replaceAll(/[^\0-\x7f]/g, '?')
      statements.push(...code.split(/^(?=(?:async def|def|class)\b)/m))
    }
  }
  const files: Files = { 'app.py': TRIVIAL_APP }
  let left = total - TRIVIAL_APP.length
  let text = ''
  for (const statement of statements) {
    const room = Math.min(each, left)
    if (text.length + statement.length <= room) text += statement
    else if (statement.length <= each) {
      files[`m${Object.keys(files).length}.py`] = text
      left -= text.length
      text = ''
      if (left < each / 2 || Object.keys(files).length === maxFiles) break
    }
  }
  return files
}
