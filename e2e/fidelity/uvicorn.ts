import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { listens } from '../harness/listens.ts'
import { freePort, ROOT } from '../harness/platform.ts'

export interface Uvicorn extends AsyncDisposable {
  readonly port: number
}

/** uvicorn with its usual command line and the runner's own Python, on loopback. */
export async function startUvicorn(): Promise<Uvicorn> {
  const port = await freePort()
  const python = join(ROOT, '.fp/venv/bin/python')
  const child = spawn(
    python,
    ['-m', 'uvicorn', 'app:app', '--port', String(port), '--log-level', 'critical'],
    {
      cwd: import.meta.dirname,
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`uvicorn ended with ${child.exitCode}`)
    await new Promise((done) => setTimeout(done, 25))
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
