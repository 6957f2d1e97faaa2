import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { provePod, type StartAnswer } from './pod-api.ts'
import { podKey, targetPodKey } from './pod-keys.ts'
import { packStartRequest } from './start-request.ts'
import { answer, LocalPod } from './test/local-pod.ts'
import { RunnerPod } from './test/runner-pod.ts'
import { assetOf, HELLO, specOf } from './test/specs.ts'

const KEY = podKey(randomBytes(32), 'pool-1')
const stack: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of stack.splice(0)) await one[Symbol.asyncDispose]()
})

async function runner(): Promise<RunnerPod> {
  const pod = await RunnerPod.start(KEY)
  stack.push(pod)
  return pod
}
async function local(key = KEY): Promise<LocalPod> {
  const pod = await LocalPod.start(key)
  stack.push(pod)
  return pod
}
const signal = (): AbortSignal => AbortSignal.timeout(30_000)
async function claim(
  { address }: { address: URL },
  source = HELLO,
  mode: 'serve' | 'check' = 'serve',
): Promise<StartAnswer> {
  const proven = await provePod(address, KEY, signal())
  return proven.start(await packStartRequest(specOf('a.1.0', source), mode), signal())
}

describe('the runner', () => {
  test('serves the start request that it gets, and accepts no other', async () => {
    const pod = await runner()
    const early = await provePod(pod.address, KEY, signal())
    const told = await claim(pod)
    expect(told).toMatchObject({ ready: true })
    expect(told.ready && told.phases.map(({ name }) => name)).toEqual([
      'written',
      'sandboxed',
      'imported',
      'started',
      'ready',
    ])
    expect(await (await fetch(pod.address)).json()).toBe('hello')
    await expect(early.start(await packStartRequest(specOf('a.1.0'), 'serve'), signal())).rejects.toThrow()
    await expect(provePod(pod.address, KEY, signal())).rejects.toThrow('409')
  })

  test('reports why an app does not start', async () => {
    const pod = await runner()
    const told = await claim(pod, 'ready = {}\nready["never"]\n')
    expect(told).toMatchObject({
      ready: false,
      failure: { code: 'FP_APP_IMPORT_FAILED', file: 'app.py', line: 2 },
    })
    expect(!told.ready && told.failure.traceback).toContain('KeyError')
    expect(await pod.ended).toBe(1)
    expect(await pod.lastWords()).toMatchObject({ code: 'FP_APP_IMPORT_FAILED' })
  })

  test('loads an app that is only to be checked, and ends', async () => {
    const pod = await runner()
    expect(await claim(pod, HELLO, 'check')).toMatchObject({ ready: true })
    expect(await pod.ended).toBe(0)
    expect(await pod.lastWords()).toMatchObject({ ok: true, kind: 'fastapi' })
  })

  test('refuses clients that do not know its key', async () => {
    const pod = await runner()
    await expect(provePod(pod.address, podKey(randomBytes(32), 'pool-1'), signal())).rejects.toThrow(
      'another server answers',
    )
    const { body } = await packStartRequest(specOf('a.1.0'), 'serve')
    const headers = { 'fp-proof': '0'.repeat(64) }
    const url = new URL('/_fp/claim', pod.address)
    expect((await fetch(url, { method: 'POST', body, headers })).status).toBe(401)
    expect(await claim(pod)).toMatchObject({ ready: true })
  })

  test('keeps waiting after an invalid start request', async () => {
    const pod = await runner()
    const proven = await provePod(pod.address, KEY, signal())
    await expect(
      proven.start({ body: Buffer.from('no start request'), assets: [] }, signal()),
    ).rejects.toThrow('FP_POD_BAD_START_REQUEST')
    expect(await claim(pod)).toMatchObject({ ready: true })
  })

  test('that dies while its app starts is not waited for', async () => {
    const pod = await runner()
    const told = claim(pod, 'print("importing", flush=True)\nwhile True: pass\n')
    await expect.poll(() => pod.output, { timeout: 20_000 }).toContain('importing')
    pod.kill()
    await expect(told).rejects.toThrow()
  })
})

describe('a start request with assets', () => {
  const ASSETS = [
    assetOf('static/large.bin', randomBytes(2 * 1024 * 1024)),
    assetOf('static/small.bin', randomBytes(10)),
    assetOf('empty', Buffer.alloc(0)),
    assetOf('twin', Buffer.alloc(0)),
  ]
  const SHOWING = `import hashlib
from fastapi import FastAPI

app = FastAPI()


@app.get("/sha/{path:path}")
def sha(path: str) -> str:
    return hashlib.sha256(open(path, "rb").read()).hexdigest()
`
  const seal = (assets = ASSETS): ReturnType<typeof packStartRequest> =>
    packStartRequest({ ...specOf('a.1.0', SHOWING), assets }, 'serve')

  test('is followed by their contents, and the app has each byte', async () => {
    const pod = await runner()
    const proven = await provePod(pod.address, KEY, signal())
    expect(await proven.start(await seal(), signal())).toMatchObject({ ready: true })
    for (const { path, sha256 } of ASSETS)
      expect(await (await fetch(new URL(`sha/${path}`, pod.address))).json()).toBe(sha256)
  })

  test('is followed by each content once, on the connection that the proof came on', async () => {
    const pod = await local()
    const proven = await provePod(pod.address, KEY, signal())
    expect(await proven.start(await seal(), signal())).toMatchObject({ ready: true })
    expect([pod.connections, pod.contents.length]).toEqual([1, 3])
  })

  test('whose content cannot be read leaves a pod that takes another start request', async () => {
    const pod = await runner()
    const lost = { ...ASSETS[1]!, read: () => Promise.reject(new Error('the database is down')) }
    const broken = await provePod(pod.address, KEY, signal())
    await expect(broken.start(await seal([ASSETS[0]!, lost]), signal())).rejects.toThrow(
      'the database is down',
    )
    await expect
      .poll(async () => {
        const proven = await provePod(pod.address, KEY, signal())
        return proven.start(await seal(), signal())
      })
      .toMatchObject({ ready: true })
  })

  test('is an error at a pod that does not support assets', async () => {
    const pod = await local()
    pod.knowsNoAssets = true
    const proven = await provePod(pod.address, KEY, signal())
    await expect(proven.start(await seal(), signal())).rejects.toThrow('its image is too old')
    expect(pod.contents).toEqual([])
  })
})

describe('a start request never reaches', () => {
  test('a pod that does not know the key', async () => {
    const impostor = await local(podKey(randomBytes(32), 'pool-1'))
    await expect(claim(impostor)).rejects.toThrow('another server answers at the address of the pod')
    expect(impostor.bodies).toEqual([])
  })

  test.each([
    ['an app that answers everything', '<h1>Welcome</h1>'],
    ['one that says null', 'null'],
    ['one that proves nothing', '{"nonce":"00","proof":5}'],
    ['one whose proof has as many letters', JSON.stringify({ nonce: '00', proof: 'ä'.repeat(64) })],
  ])('%s', async (_who, text) => {
    const impostor = await local()
    impostor.onProof = (response) => void response.end(text)
    await expect(claim(impostor)).rejects.toThrow('another server answers')
    expect(impostor.bodies).toEqual([])
  })

  test('a pod that sends the challenge back as its answer', async () => {
    const impostor = await local()
    impostor.onProof = (response) => {
      const nonce = String(response.req.headers['fp-nonce'])
      answer(response, 200, { nonce, proof: nonce })
    }
    await expect(claim(impostor)).rejects.toThrow('another server answers')
  })

  test('another pod with the address after the first one has closed the connection', async () => {
    const pod = await local()
    pod.hangsUp = true
    const proven = await provePod(pod.address, KEY, signal())
    await expect(proven.start(await packStartRequest(specOf('a.1.0'), 'serve'), signal())).rejects.toThrow()
    expect([pod.connections, pod.bodies]).toEqual([1, []])
  })

  test('anybody once the request was sent', async () => {
    const pod = await local()
    const request = await packStartRequest(specOf('a.1.0'), 'serve')
    const proven = await provePod(pod.address, KEY, signal())
    expect(await proven.start(request, signal())).toMatchObject({ ready: true })
    await expect(proven.start(request, signal())).rejects.toThrow('closed the connection')
    expect(pod.connections).toBe(1)
  })
})

test('the start request goes over the connection that the proof came on', async () => {
  const pod = await local()
  expect(await claim(pod)).toEqual({ ready: true, phases: [{ name: 'ready', at: 12 }] })
  expect(pod.connections).toBe(1)
  expect(pod.startRequests).toMatchObject([{ mode: 'serve', env: { NAME: 'a secret value' } }])
})

test('an answer that breaks off, is too large or is empty rejects', async () => {
  const broken = await local()
  broken.onStartRequest = (response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{"ready":', () => response.destroy())
  }
  await expect(claim(broken)).rejects.toThrow()
  const large = await local()
  large.onStartRequest = (response) => void response.writeHead(200).end('x'.repeat(100_000))
  await expect(claim(large)).rejects.toThrow('without end')
  const largeProof = await local()
  largeProof.onProof = (response) => void response.writeHead(200).end('x'.repeat(100_000))
  await expect(claim(largeProof)).rejects.toThrow('without end')
  const nonsense = await local()
  nonsense.onStartRequest = (response) => answer(response, 422, { failure: { code: 5 } })
  await expect(claim(nonsense)).rejects.toThrow('the pod answered 422')
  const proxy = await local()
  proxy.onStartRequest = (response) => void response.writeHead(502).end('<h1>Bad gateway</h1>')
  await expect(claim(proxy)).rejects.toThrow('the pod answered 502: <h1>Bad gateway</h1>')
})

test('an abort rejects at once', async () => {
  const pod = await local()
  pod.onStartRequest = () => undefined
  const proven = await provePod(pod.address, KEY, signal())
  const stop = new AbortController()
  const told = proven.start(await packStartRequest(specOf('a.1.0'), 'serve'), stop.signal)
  await expect.poll(() => pod.startRequests.length).toBe(1)
  stop.abort()
  await expect(told).rejects.toThrow('abort')
})

test('each pod has a key of its own, which only the platform can make', () => {
  const secret = randomBytes(32)
  expect(podKey(secret, 'pool-1')).toMatch(/^[0-9a-f]{64}$/)
  expect(podKey(secret, 'pool-1')).toBe(podKey(Buffer.from(secret), 'pool-1'))
  expect(podKey(secret, 'pool-1')).not.toBe(podKey(secret, 'pool-2'))
  expect(podKey(secret, 'pool-1')).not.toBe(podKey(randomBytes(32), 'pool-1'))
  expect(targetPodKey(secret, 'a.1.0')).not.toBe(targetPodKey(secret, 'a.1.1'))
  expect(targetPodKey(secret, 'pool-1')).not.toBe(podKey(secret, 'pool-1'))
})
