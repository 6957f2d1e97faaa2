import type { Deployment } from '@fp/sdk/wire'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT, startPlatform, type PlatformUnderTest } from '../harness/platform.ts'
import { TestUser } from '../harness/user.ts'
import { listenToAll } from './listeners.ts'

let platform: PlatformUnderTest
let user: TestUser
let neighbour: { id: string }
beforeAll(async () => {
  platform = await startPlatform({
    env: { FP_ALLOWED_IMPORTS: 'ctypes,socket,subprocess,signal,pathlib,shutil,resource' },
  })
  user = await TestUser.signUp(platform, 'mallory')
  const ada = await TestUser.signUp(platform, 'ada')
  const app = await ada.liveApp({ template_id: 'hello-api' })
  neighbour = { id: app.app_id }
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

/** An app whose `/` tries something forbidden. The answer shows what it could do. */
function attempt(body: string, imports = ''): string {
  const indented = body
    .trimEnd()
    .split('\n')
    .map((line) => `        ${line}`)
    .join('\n')
  return `import os
from fastapi import FastAPI
${imports}

app = FastAPI()


@app.get("/alive")
def alive() -> str:
    return "yes"


@app.get("/")
def attack() -> str:
    try:
${indented}
    except BaseException as error:
        return "refused: " + type(error).__name__
`
}

async function deployed(code: string): Promise<string> {
  return (await user.liveApp({ code })).app_id
}

/** A file of the running neighbour in the data folder. */
function neighboursSocket(): string {
  const name = readdirSync(join(platform.dataDir, 'run')).find((file) => file.startsWith(neighbour.id))
  if (name === undefined) throw new Error('The neighbour has no socket.')
  return name
}

async function neighbourIsWell(): Promise<void> {
  expect((await user.call(neighbour.id, '/')).status).toBe(200)
  expect((await fetch(`${platform.url}/readyz`)).status).toBe(200)
}

describe('an app cannot', () => {
  const readers: [string, string][] = [
    ['read /etc/shadow', 'return open("/etc/shadow").read()'],
    ['read the platform’s files', `return open(${JSON.stringify(`${ROOT}/package.json`)}).read()`],
    ['list the data folder', 'return str(os.listdir(DATA))'],
    [
      'read the platform’s environment',
      'return open("/proc/" + str(os.getppid() or 1) + "/environ").read() if os.getppid() else open("/proc/1/environ").read().replace(chr(0), " ") and "refused: own"',
    ],
    ['write to its own folder', 'open("/app/new.txt", "w").write("x")\nreturn "wrote"'],
    ['become root', 'os.setuid(0)\nreturn "root"'],
    [
      'mount',
      'import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nreturn "mounted" if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 else "refused: mount"',
    ],
    [
      'listen on a port',
      'import socket\ns = socket.socket()\ns.bind(("127.0.0.1", 0))\ns.listen()\nreturn "listening"',
    ],
    [
      'reach another app’s socket',
      'import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(DATA + "/run/" + NEIGHBOUR)\nreturn "connected"',
    ],
    [
      'reach the platform’s port on loopback',
      'import socket\nsocket.create_connection(("127.0.0.1", PLATFORM), 5)\nreturn "connected"',
    ],
    [
      'reach what listens on the machine’s own addresses',
      'import socket\nfor address in MACHINE:\n    try:\n        socket.create_connection((address, LISTENING), 5)\n        return "connected to " + address\n    except OSError:\n        pass\nreturn "refused: everywhere"',
    ],
    [
      'reach the metadata address of a cloud',
      'import socket\nsocket.create_connection(("169.254.169.254", 80), 5)\nreturn "connected"',
    ],
  ]
  test.each(readers)('%s', async (_name, body) => {
    await using listeners = await listenToAll()
    await neighbourIsWell()
    const constants = [
      `DATA = ${JSON.stringify(platform.dataDir)}`,
      `NEIGHBOUR = ${JSON.stringify(neighboursSocket())}`,
      `PLATFORM = ${new URL(platform.url).port}`,
      `LISTENING = ${listeners.port}`,
      `MACHINE = ${JSON.stringify(listeners.addresses)}`,
    ].join('\n')
    const id = await deployed(attempt(body, constants))
    const answer = await user.call(id, '/')
    expect(answer.text).toMatch(/^"refused: /)
    await neighbourIsWell()
  })

  test('see another process', async () => {
    const id = await deployed(
      attempt('return ",".join(sorted(name for name in os.listdir("/proc") if name.isdigit()))'),
    )
    const seen = ((await user.call(id, '/')).json() as string).split(',')
    expect(seen.length).toBeLessThan(4)
  })

  test('see any variable that is not its own', async () => {
    const id = await deployed(attempt('return " ".join(sorted(os.environ))'))
    const names = ((await user.call(id, '/')).json() as string).split(' ')
    const known =
      /^(FP_APP_ID|FP_SESSION_KEY|FP_VERSION|HOME|LANG|PATH|PLATFORM_MONGO_URI|PORT|PYTHON\w+|TMPDIR|LC_CTYPE|TZ)$/
    expect(names.filter((name) => !known.test(name))).toEqual([])
  })

  test('take the machine’s memory', async () => {
    const id = await deployed(attempt('hog = []\nwhile True:\n    hog.append(bytearray(10_000_000))'))
    const answer = await user.call(id, '/')
    // It gets a MemoryError or is killed. In both cases it works again afterwards, and nobody else is affected.
    expect([200, 502]).toContain(answer.status)
    expect((await user.call(id, '/alive')).text).toBe('"yes"')
    await neighbourIsWell()
  })

  test('fork without limit', async () => {
    const code = attempt(
      'import subprocess\nchildren = []\nwhile True:\n    children.append(subprocess.Popen(["/usr/bin/env", "sleep", "60"]))',
    ).replace('import subprocess\n', '')
    const withImport = code.replace('import os\n', 'import os\nimport subprocess\n')
    const app = await user.createApp({ code: withImport })
    const answer = await user.api('POST', `/apps/${app.app_id}/deploy`, {})
    // The validator reports it first, but the sandbox must prevent it.
    expect(answer.status).toBe(422)
    const threads = attempt(
      'import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()',
    )
    const id = await deployed(threads)
    expect((await user.call(id, '/')).text).toMatch(/^"refused: /)
    await neighbourIsWell()
  })

  test('fill the disk', async () => {
    const id = await deployed(
      attempt('with open("/tmp/fill", "wb") as file:\n    while True:\n        file.write(b"x" * 1_000_000)'),
    )
    expect((await user.call(id, '/')).text).toMatch(/^"refused: OSError/)
    await neighbourIsWell()
  })

  test('reach another user’s database', async () => {
    const body = `uri = os.environ["PLATFORM_MONGO_URI"]
client = MongoClient(uri, serverSelectionTimeoutMS=5000)
own = client.get_default_database()
own.notes.insert_one({"mine": True})
names = [own.name.replace("fp_", "fp_x"), "admin", "fp", "config", "local"]
for name in names:
    try:
        client[name].users.find_one()
        return "read " + name
    except OperationFailure:
        pass
    try:
        client[name].users.insert_one({})
        return "wrote " + name
    except OperationFailure:
        pass
return "refused: " + str(own.notes.count_documents({}) > 0)`
    const id = await deployed(
      attempt(body, 'from pymongo import MongoClient\nfrom pymongo.errors import OperationFailure'),
    )
    expect((await user.call(id, '/')).text).toBe('"refused: True"')
  })
})

describe('an app that', () => {
  test('exits in a handler gets 502 with a request id, is reported to its owner, and serves the next request', async () => {
    const code = attempt('import ctypes\nctypes.string_at(0)\nreturn ""')
    const id = await deployed(code)
    const answer = await user.call(id, '/')
    expect(answer.status).toBe(502)
    expect(answer.json()).toMatchObject({
      code: 'FP_APP_CRASHED',
      request_id: answer.headers['x-request-id'],
    })
    await expect.poll(async () => (await user.client.apps.get(id)).last_failure?.code).toBe('FP_APP_CRASHED')
    expect((await user.call(id, '/alive')).text).toBe('"yes"')
  })

  test('raises in a handler answers 500, and its owner gets the traceback in the log', async () => {
    const id = await deployed(
      'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef fail() -> str:\n    return {}["missing"]\n',
    )
    expect((await user.call(id, '/')).status).toBe(500)
    await expect
      .poll(async () => (await user.client.apps.logs(id, { lines: 100 })).lines.join('\n'))
      .toMatch(/File "(\/app\/)?app\.py", line 8, in fail[\s\S]*KeyError: 'missing'/)
  })

  test('never answers gives its visitor a 504, and delays nobody else', async () => {
    await using impatient = await startPlatform({ env: { FP_RESPONSE_TIMEOUT_S: '5' } })
    const visitor = await TestUser.signUp(impatient, 'visitor')
    const code =
      'import asyncio\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\nasync def hang() -> None:\n    await asyncio.Event().wait()\n\n\n@app.get("/alive")\nasync def alive() -> str:\n    return "yes"\n'
    const { app_id: id } = await visitor.liveApp({ code })
    const hanging = visitor.call(id, '/')
    expect((await visitor.call(id, '/alive')).text).toBe('"yes"')
    const answer = await hanging
    expect([answer.status, (answer.json() as { code: string }).code]).toEqual([504, 'FP_APP_TIMEOUT'])
  })

  test('never ends its import fails its deploy within a limited time', async () => {
    const app = await user.createApp({
      code: 'from fastapi import FastAPI\n\napp = FastAPI()\nwhile True:\n    pass\n',
    })
    const deployment = await user.deploy(app.app_id)
    expect(deployment.failure).toMatchObject({ code: 'FP_APP_START_TIMEOUT' })
    await neighbourIsWell()
  })

  test.each([
    ['import error', 'import nothing_here_at_all\n', 422, 'import-not-allowed'],
    ['syntax error', 'def broken(:\n', 422, 'syntax-error'],
  ])('has an %s in its third file is refused with the place', async (_name, text, status, rule) => {
    const files = {
      'app.py': 'from fastapi import FastAPI\nimport one\nimport three\n\napp = FastAPI()\n',
      'one.py': 'x = 1\n',
      'three.py': text,
    }
    const app = await user.createApp({ files })
    const answer = await user.api<{ code: string; details: { file: string; line: number; rule: string }[] }>(
      'POST',
      `/apps/${app.app_id}/deploy`,
      {},
    )
    expect(answer.status).toBe(status)
    expect(answer.body.code).toBe('FP_VALIDATION_FAILED')
    expect(answer.body.details).toContainEqual(expect.objectContaining({ file: 'three.py', line: 1, rule }))
  })

  test('exits at import fails with that reason', async () => {
    const app = await user.createApp({
      code: 'import sys\nfrom fastapi import FastAPI\n\napp = FastAPI()\nsys.exit(3)\n',
    })
    const { failure } = await user.deploy(app.app_id)
    expect(failure?.message).toMatch(/SystemExit|exit/i)
  })

  test('is deployed twice at once ends with the later one live', async () => {
    const app = await user.createApp({ code: attempt('return "0"') })
    const files = (n: number): object => ({ files: { 'app.py': attempt(`return "${n}"`) } })
    const accepted = await Promise.all([1, 2].map((n) => user.client.apps.deploy(app.app_id, files(n))))
    const ends: Deployment[] = []
    for (const one of accepted) ends.push(await user.finished(app.app_id, one.deployment_id))
    expect(ends.map((end) => end.finished_at !== null)).toEqual([true, true])
    const last = Math.max(...accepted.map((one) => one.version))
    const detail = await user.client.apps.get(app.app_id)
    expect(detail.live_version).toBe(last)
  })
})

describe('deleting an app', () => {
  test('leaves neither a process that answers nor a folder', async () => {
    const id = await deployed(attempt('return "here"'))
    await user.client.apps.remove(id)
    const answer = await user.call(id, '/')
    expect([answer.status, (answer.json() as { code: string }).code]).toEqual([404, 'FP_APP_NOT_FOUND'])
    await expect.poll(() => existsSync(`${platform.dataDir}/apps/${id}`)).toBe(false)
  })
})
