import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listens } from '../harness/listens.ts'
import { freePort, ROOT } from '../harness/platform.ts'
import type { Case } from './case.ts'

/** uvicorn alone, with the runner's own Python, in a copy of the app's folder: libraries write into it. */
export async function serveAlone({
  dir,
  uvicorn,
}: Case): Promise<AsyncDisposable & { readonly port: number }> {
  const cwd = await mkdtemp(join(tmpdir(), 'fp-layout-'))
  await cp(dir, cwd, { recursive: true })
  const port = await freePort()
  const child = spawn(
    join(ROOT, '.fp/venv/bin/python'),
    ['-m', 'uvicorn', ...uvicorn.split(' '), '--port', String(port), '--log-level', 'warning'],
    // The same PORT as the platform sets for apps.
    {
      cwd,
      env: { PATH: process.env.PATH, PORT: '8000', PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (said += part))
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`uvicorn ${uvicorn} ended with ${child.exitCode}:\n${said}`)
    await new Promise((done) => setTimeout(done, 25))
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await rm(cwd, { recursive: true, force: true })
    },
  }
}
