import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createManager, type Manager, type ManagerOptions } from './manager.ts'
import type { NetworkSettings } from './protocol.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')
const PYTHON = join(ROOT, '.fp/venv/bin/python')

let dir: string
let logged: string[]
let manager: Manager | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fp-manager-'))
  logged = []
})
afterEach(async () => {
  await manager?.close()
  manager = undefined
  await rm(dir, { recursive: true, force: true })
})

/** A Python that finds no `nft` while the file `broken` exists, so that the machine cannot set up networks. */
async function pythonThatMayLackNft(broken: string): Promise<string> {
  const wrapper = join(dir, 'python')
  const folders = '/usr/sbin /usr/local/sbin'
  const hide = `for folder in ${folders}; do mount -t tmpfs none $folder; done; exec "$@"`
  await writeFile(
    wrapper,
    `#!/bin/sh
[ -e ${broken} ] && exec unshare -m sh -c '${hide}' sh ${PYTHON} "$@"
exec ${PYTHON} "$@"
`,
  )
  await chmod(wrapper, 0o755)
  return wrapper
}

/** A Python that ends as a manager once after it has said `text`, or after the platform ends the channel. */
async function pythonThatSaysOnce(
  text: string,
  end: string,
): Promise<{ python: string; sayNow(): Promise<void> }> {
  const python = join(dir, 'python')
  const said = join(dir, 'said')
  const script = `#!/bin/sh
[ -e ${said} ] && exec ${PYTHON} "$@"
touch ${said}
printf '${text}' >&3
${end}
`
  await writeFile(python, script, { mode: 0o755 })
  return { python, sayNow: () => rm(said) }
}

function options(python: string, mode: NetworkSettings['mode']): ManagerOptions {
  const write = (chunk: Buffer, _: string, done: () => void): void => {
    logged.push(chunk.toString())
    done()
  }
  return {
    python,
    runnerPath: join(ROOT, 'runner/src'),
    allowUnsandboxed: false,
    freshInterpreters: false,
    network: { mode, allowed: [], addresses: null, mongodb: null },
    log: pino(new Writable({ write })),
  }
}

const failures = (): string[] => logged.filter((line) => line.includes('the runner does not start'))

const unfinished = [
  'an unfinished line',
  '{"event": "hel',
  'exit 1',
  /before it was ready \(exit code 1\)/,
] as const
const nonsense = [
  'a line that is no JSON',
  'nonsense\\n',
  'exec cat <&3',
  /cannot be understood.*8 characters/,
] as const

test.each([unfinished, nonsense])('a manager that sends %s does not start', async (_, text, end, problem) => {
  const { python } = await pythonThatSaysOnce(text, end)
  const starting = createManager({ ...options(python, 'internet'), allowUnsandboxed: true })
  await expect(starting).rejects.toThrow(problem)
})

test('a manager is replaced even if the next one sends an unfinished line', async () => {
  const [, text, end, problem] = unfinished
  const { python, sayNow } = await pythonThatSaysOnce(text, end)
  await writeFile(join(dir, 'said'), '')
  manager = await createManager({ ...options(python, 'internet'), allowUnsandboxed: true })
  const { pid } = manager
  await sayNow()
  process.kill(pid, 'SIGKILL')
  await expect.poll(failures).toHaveLength(1)
  expect(failures()[0]).toMatch(problem)
  await expect.poll(() => manager?.problem).toBeUndefined()
  expect(manager.pid).not.toBe(pid)
})

describe.runIf(process.getuid?.() === 0)('a manager on a machine whose networks break', () => {
  test('is replaced only by one that isolates apps as it did', async () => {
    const broken = join(dir, 'broken')
    manager = await createManager(options(await pythonThatMayLackNft(broken), 'internet'))
    expect(manager.report.network?.way).toBe('filtered')
    const { pid } = manager
    await writeFile(broken, '')
    process.kill(pid, 'SIGKILL')
    await expect.poll(failures).toHaveLength(2)
    expect(failures()[0]).toMatch(/isolate apps less.*nft is not installed/)
    expect(manager.problem).toMatch(/does not start: .*isolate apps less/)
    expect(manager.pid).toBe(pid)
    await rm(broken)
    await expect.poll(() => manager?.problem).toBeUndefined()
    expect(manager.pid).not.toBe(pid)
  })

  test('does not start if FP_EGRESS limits what apps may reach', async () => {
    const broken = join(dir, 'broken')
    await writeFile(broken, '')
    const python = await pythonThatMayLackNft(broken)
    await expect(createManager(options(python, 'list'))).rejects.toThrow(/FP_EGRESS.*nft is not installed/)
    // This needs a namespace but no firewall rules.
    manager = await createManager(options(python, 'none'))
    expect(manager.report.network?.way).toBe('isolated')
  })
})
