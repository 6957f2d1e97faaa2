import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadTemplates } from './load.ts'

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

test('a template has text as files and everything else as unchanged assets', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'fp-templates-'))
  const logo = Buffer.from([0x89, 0, 255, 10, 13])
  await mkdir(join(dir, 'one/static'), { recursive: true })
  await mkdir(join(dir, 'one/__pycache__'))
  const about = { name: 'One', description: 'First' }
  await writeFile(join(dir, 'one/template.json'), JSON.stringify(about))
  await writeFile(join(dir, 'one/app.py'), 'app = 1')
  await writeFile(join(dir, 'one/static/logo.png'), logo)
  await writeFile(join(dir, 'one/static/site.css'), 'body {}')
  await writeFile(join(dir, 'one/__pycache__/app.pyc'), logo)
  await writeFile(join(dir, 'one/.hidden'), logo)
  try {
    const [template, ...rest] = await loadTemplates(dir, LOG)
    expect(rest).toEqual([])
    expect(template!.files).toEqual({ 'app.py': 'app = 1', 'static/site.css': 'body {}' })
    expect(template!.assets).toEqual([{ path: 'static/logo.png', content: logo }])
  } finally {
    await rm(dir, { recursive: true })
  }
})
