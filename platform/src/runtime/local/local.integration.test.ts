import { createActivator, DEFAULT_POLICY, type Activator } from '@fp/scaler'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AppFailureReport, AppSpec } from '../runtime.ts'
import { lineText } from '../logs.ts'
import { createLocalRuntime, type LocalRuntime, type LocalRuntimeOptions } from './index.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')
const APP = (answer: string): string => `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def answer() -> str:
    return "${answer}"
`

let dataDir: string
let runtime: LocalRuntime
let activator: Activator
const sources = new Map<string, string>()
const crashes: [string, AppFailureReport][] = []
const failures: string[] = []
/** The result of a start before the runtime was started. */
let refusal: unknown

function options(folder: string): LocalRuntimeOptions {
  return {
    dataDir: folder,
    python: join(ROOT, '.fp/venv/bin/python'),
    runnerPath: join(ROOT, 'runner/src'),
    allowUnsandboxed: false,
    storageBytes: 16 * 2 ** 20,
    egress: { mode: 'internet', allowed: [], addresses: undefined },
    log: pino({ level: 'silent' }),
  }
}

function spec(key: string): AppSpec {
  const [appId = '', version] = key.split('.')
  const source = sources.get(key)
  if (source === undefined) throw new Error(`no files for ${key}`)
  return {
    key,
    appId,
    ownerId: 'u1',
    version: Number(version),
    files: { 'app.py': source },
    assets: [],
    artifacts: [],
    limits: {},
    entrypoint: 'app.py',
    storage: false,
    env: { FP_APP_ID: appId },
    sequence: 7,
  }
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fp-local-'))
  runtime = await createLocalRuntime(options(dataDir))
  refusal = await runtime.driver
    .scale('one.1.0', 1, { signal: AbortSignal.timeout(20_000) })
    .catch((error: Error) => error)
  runtime.start({
    specOf: async (key) => spec(key),
    liveTargets: async () => [],
    crashed: (key, failure) => void crashes.push([key, failure]),
    progress: () => undefined,
  })
  activator = await createActivator({
    driver: runtime.driver,
    policy: () => DEFAULT_POLICY,
    observer: { failed: (key, failure) => void failures.push(`${key} ${failure.code}`) },
  })
})
afterAll(async () => {
  await activator.close({ signal: AbortSignal.timeout(100) })
  await runtime.close()
  await rm(dataDir, { recursive: true, force: true })
})

async function texts(appId: string): Promise<string[]> {
  return (await runtime.logs.tail(appId, { lines: 10 })).map(lineText)
}

async function call(key: string): Promise<string> {
  using lease = await activator.acquire(key)
  return new Promise((done, fail) => {
    const sent = request({ socketPath: lease.endpoint.url.pathname, path: '/', agent: false }, (response) => {
      let text = ''
      response
        .setEncoding('utf8')
        .on('data', (part: string) => (text += part))
        .on('end', () => done(text))
    })
    sent.on('error', fail).end()
  })
}

test('a local runtime that cannot start leaves no socket folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fp-local-'))
  try {
    const starting = createLocalRuntime({ ...options(folder), python: '/nowhere/python' })
    await expect(starting).rejects.toThrow(/Python cannot be started/)
    expect(await readdir(folder)).not.toContain('run')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

describe('the local runtime', () => {
  test('starts no target before it is started itself, and says why', () => {
    expect(refusal).toMatchObject({
      message: 'The runtime has not been started, so it cannot start one.1.0. Call start() first.',
    })
    expect(() => runtime.start({} as never)).toThrow('has been started already')
  })

  test('says how much memory all apps use, and may use', async () => {
    const before = await runtime.memoryOfApps!()
    sources.set('large.1.0', `data = b'x' * (64 * 2 ** 20)\n${APP('large')}`)
    await call('large.1.0')
    const after = await runtime.memoryOfApps!()
    expect(after!.used - before!.used).toBeGreaterThan(60 * 2 ** 20)
    expect(after!.limit).toBeGreaterThan(after!.used)
    await activator.sleep('large.1.0')
  })

  test('wakes a target, puts it to sleep, and wakes it again as another process', async () => {
    sources.set('one.1.0', APP('one'))
    expect(await call('one.1.0')).toBe('"one"')
    const first = await activator.acquire('one.1.0')
    first.release()
    expect(await activator.sleep('one.1.0')).toBe(true)
    const second = await activator.acquire('one.1.0')
    second.release()
    expect(second.endpoint.id).not.toBe(first.endpoint.id)
    expect(second.coldStart?.phases.map((phase) => phase.name)).toEqual([
      'forked',
      'sandboxed',
      'imported',
      'started',
      'ready',
    ])
  })

  test('fails at once, with the traceback, where the app cannot start', async () => {
    sources.set('bad.1.0', 'import os\nos.environ["NOPE"]\n')
    await expect(call('bad.1.0')).rejects.toMatchObject({
      code: 'SCALER_TARGET_FAILED',
      failure: {
        code: 'FP_APP_IMPORT_FAILED',
        details: { file: 'app.py', line: 2, traceback: expect.stringContaining('KeyError') as string },
      },
    })
    expect(failures).toContain('bad.1.0 FP_APP_IMPORT_FAILED')
  })

  test('fails at once if its files cannot be read', async () => {
    await expect(call('none.1.0')).rejects.toMatchObject({
      code: 'SCALER_TARGET_FAILED',
      failure: { message: 'no files for none.1.0' },
    })
  })

  test('writes to the log how an app ended that printed nothing itself', async () => {
    sources.set(
      'mute.1.0',
      'import os\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef end():\n    os._exit(3)\n',
    )
    await expect(call('mute.1.0')).rejects.toThrow()
    await expect
      .poll(() => texts('mute'))
      .toContainEqual(expect.stringMatching(/^\[fp\] The app ended .*code 3/))
  })

  test('checks an app without serving it', async () => {
    sources.set('two.1.0', APP('two'))
    const signal = AbortSignal.timeout(20_000)
    expect(await runtime.trial.check(spec('two.1.0'), { signal })).toEqual({ ok: true })
    sources.set('two.2.0', 'x = 1\n')
    expect(await runtime.trial.check(spec('two.2.0'), { signal })).toMatchObject({
      ok: false,
      failure: { code: 'FP_APP_NOT_FOUND_IN_CODE' },
    })
    sources.set('two.3.0', 'while True: pass\n')
    const gone = new AbortController()
    const checking = runtime.trial.check(spec('two.3.0'), { signal: gone.signal })
    gone.abort(new Error('not wanted any more'))
    await expect(checking).rejects.toThrow('not wanted any more')
  })

  test('does not run an app whose check was given up before its request was sent', async () => {
    sources.set('gone.1.0', `print("it ran")\n${APP('x')}`)
    const run = { signal: AbortSignal.timeout(20_000) }
    expect(await runtime.trial.check(spec('gone.1.0'), run)).toEqual({ ok: true })
    expect(await texts('gone')).toEqual(['it ran'])
    const gone = new AbortController()
    const checking = runtime.trial.check(spec('gone.1.0'), { signal: gone.signal })
    gone.abort(new Error('not wanted any more'))
    await expect(checking).rejects.toThrow('not wanted any more')
    expect(await texts('gone')).toEqual(['it ran'])
  })

  test('stores time, stream and instance of each line', async () => {
    sources.set(
      'says.1.0',
      `import os, sys\nprint("one\\ntwo")\nprint("warned", file=sys.stderr)\nos.write(1, b"raw\\n")\n${APP('x')}`,
    )
    const before = new Date().toISOString()
    const lease = await activator.acquire('says.1.0')
    lease.release()
    const lines = await runtime.logs.tail('says', { lines: 10 })
    const instance = lease.endpoint.id
    expect(instance).toMatch(/^says\.1\.0-/)
    expect(lines).toMatchObject([
      { stream: 'stdout', instance, version: 1, text: 'one' },
      { stream: 'stdout', instance, version: 1, text: 'two' },
      { stream: 'stderr', instance, version: 1, text: 'warned' },
      { stream: 'output', instance: null, version: null, text: 'raw' },
    ])
    const times = lines.map(({ time }) => time!)
    expect(times).toEqual(times.toSorted())
    expect(times[0]! >= before && times.at(-1)! <= new Date().toISOString()).toBe(true)
  })

  test('keeps what apps print, and forgets it with the app', async () => {
    sources.set('talk.1.0', `print("hello from import")\n${APP('x')}`)
    await call('talk.1.0')
    await expect.poll(() => texts('talk')).toContain('hello from import')
    await activator.retire('talk.1.0')
    await runtime.cleanup.removeApp('talk')
    expect(await texts('talk')).toEqual([])
    await expect(readFile(join(dataDir, 'apps/talk/v1/app.py'))).rejects.toThrow('ENOENT')
  })

  test('a wake that begins while the manager dies is served by the next manager', async () => {
    sources.set('early.1.0', APP('up'))
    process.kill(runtime.pid(), 'SIGKILL')
    expect(await call('early.1.0')).toBe('"up"')
  })

  test('survives the death of its manager: the next request wakes the app again', async () => {
    sources.set('phoenix.1.0', APP('up'))
    expect(await call('phoenix.1.0')).toBe('"up"')
    process.kill(runtime.pid(), 'SIGKILL')
    await expect.poll(() => activator.stats('phoenix.1.0')?.phase ?? 'asleep').toBe('asleep')
    expect(await call('phoenix.1.0')).toBe('"up"')
    expect(runtime.health.problem()).toBeUndefined()
  })
})
