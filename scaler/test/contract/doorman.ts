import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TargetKey } from '../../src/types.ts'
import type { DriverUnderTest } from '../../src/contract/index.ts'
import { get } from '../../src/contract/http.ts'

/**
 * A server that decides which targets may start: each target sends a request to `http://<this machine>:<port>/<key>` first, waits
 * for the response, and ends if the response is no. Used if a test cannot access the file system and the signals of a target.
 */
export interface Doorman extends AsyncDisposable {
  readonly port: number
  /** The rig for the driver contract. `GET /crash` must end the process of a target. */
  readonly targets: Pick<DriverUnderTest, 'target' | 'failing' | 'slow' | 'crash'>
}

interface Gate {
  readonly asked: PromiseWithResolvers<void>
  readonly opened: PromiseWithResolvers<void>
}

/** `host`: the address to listen at; default: all addresses. */
export async function startDoorman(options: {
  newKey(count: number): TargetKey
  /** The expected code of a target's failure. */
  readonly failureCode: string
  readonly host?: string
}): Promise<Doorman> {
  const held = new Map<TargetKey, Gate>()
  const broken = new Set<TargetKey>()
  let keys = 0
  const newKey = (): TargetKey => options.newKey(++keys)
  const server = createServer((request, response) => {
    const key = request.url!.slice(1)
    const gate = held.get(key)
    gate?.asked.resolve()
    void (gate?.opened.promise ?? Promise.resolve()).then(() =>
      response.writeHead(broken.has(key) ? 500 : 200).end(),
    )
  }).listen(0, options.host)
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    targets: {
      target: newKey,
      failing() {
        const key = newKey()
        broken.add(key)
        return { key, code: options.failureCode, mend: () => void broken.delete(key) }
      },
      slow() {
        const key = newKey()
        const gate = { asked: Promise.withResolvers<void>(), opened: Promise.withResolvers<void>() }
        held.set(key, gate)
        return { key, asked: gate.asked.promise, open: () => gate.opened.resolve() }
      },
      crash: (endpoint) =>
        get(endpoint, '/crash').then(
          () => undefined,
          () => undefined,
        ),
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A FastAPI app that asks before it starts. */
export const askingApp = (ask: string): string => `import os
import urllib.request

from fastapi import FastAPI

urllib.request.urlopen("${ask}")
app = FastAPI()


@app.get("/")
def answer() -> str:
    return "hello"


@app.get("/crash")
def crash() -> None:
    os._exit(1)
`
