import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePort } from '../../../../test/free-port.ts'

const ROOT = resolve(import.meta.dirname, '../../../../..')
/** As root: the system's Python with the same libraries, as the runner refuses root and other users cannot read root's Python. */
const IS_ROOT = process.getuid?.() === 0
const UID = 201_000
const PYTHON = IS_ROOT ? '/usr/bin/python3' : join(ROOT, '.fp/venv/bin/python')
const PYTHON_PATH = [join(ROOT, 'runner/src'), join(ROOT, '.fp/venv/lib/python3.11/site-packages')].join(':')

/** The first process of a pod of the pool, the runner's own, without the pod. */
export class RunnerPod implements AsyncDisposable {
  readonly address: URL
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #ended: Promise<number | null>
  /** What it printed: the app's log. */
  output = ''

  private constructor(folder: string, port: number, key: string) {
    this.#folder = folder
    this.address = new URL(`http://127.0.0.1:${port}`)
    const options = { '--port': String(port), '--app-dir': join(folder, 'app') }
    const files = { '--termination-log': join(folder, 'termination-log') }
    this.#process = spawn(
      PYTHON,
      ['-s', '-P', '-m', 'fp_runner.pod', '--wait', ...Object.entries({ ...options, ...files }).flat()],
      {
        cwd: '/',
        env: { PYTHONPATH: PYTHON_PATH, PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', FP_POD_KEY: key },
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(IS_ROOT ? { uid: UID, gid: UID } : {}),
      },
    )
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => void (this.output += text))
    }
    this.#ended = once(this.#process, 'exit').then(([code]) => code as number | null)
  }

  /** Resolves once the pod answers. */
  static async start(key: string): Promise<RunnerPod> {
    const folder = await mkdtemp(join(tmpdir(), 'fp-pod-'))
    await chmod(folder, 0o755)
    await mkdir(join(folder, 'app'))
    await writeFile(join(folder, 'termination-log'), '')
    if (IS_ROOT) for (const name of ['app', 'termination-log']) await chown(join(folder, name), UID, UID)
    const pod = new RunnerPod(folder, await freePort(), key)
    await pod.#answers()
    return pod
  }

  /** Its exit code, once it has ended by itself; null if by a signal. */
  get ended(): Promise<number | null> {
    return this.#ended
  }

  async lastWords(): Promise<unknown> {
    return JSON.parse(await readFile(join(this.#folder, 'termination-log'), 'utf8'))
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.#ended
    await rm(this.#folder, { recursive: true })
  }

  /** The port is open early, and connections then wait. Retries are needed only before that. */
  async #answers(): Promise<void> {
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error(`The runner did not start: ${this.output}`)
      const answer = await fetch(new URL('/_fp/alive', this.address)).catch(() => undefined)
      if (answer?.status === 204) return
    }
  }
}
