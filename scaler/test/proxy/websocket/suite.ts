import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { world } from '../world.ts'

/*
 * The Autobahn test suite itself, against an echo server as it is and through the proxy; takes half an hour, or less where
 * an argument limits it to some cases (`1.*`). It needs `wstest` on the PATH: `pip install autobahntestsuite` under
 * Python 2.7, for which it was written. That is why the tests have its cases by hand (autobahn.test.ts).
 */
const [, , cases = '*'] = process.argv

interface Verdict {
  readonly behavior: string
  readonly behaviorClose: string
  readonly remoteCloseCode: number | null
}

await using echo = await world((_request, response) => response.end(), { tcp: true })
new WebSocketServer({ server: echo.app, perMessageDeflate: { threshold: 0 } }).on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  socket.on('error', () => undefined)
})
const folder = await mkdtemp(join(tmpdir(), 'fp-autobahn-'))
try {
  const { direct, proxied } = await fuzz({
    direct: (echo.app.address() as AddressInfo).port,
    proxied: echo.port,
  })
  const ids = Object.keys(direct!)
  const differ = ids.filter((id) => verdict(direct![id]) !== verdict(proxied![id]))
  for (const id of differ)
    console.log(`${id}: ${verdict(direct![id])}, through the proxy ${verdict(proxied![id])}`)
  console.log(
    `${ids.length} cases of the Autobahn suite, ${differ.length} of them not the same through the proxy`,
  )
  process.exitCode = ids.length > 0 && differ.length === 0 ? 0 : 1
} finally {
  await rm(folder, { recursive: true })
}

async function fuzz(ports: Record<string, number>): Promise<Record<string, Record<string, Verdict>>> {
  const servers = Object.entries(ports).map(([agent, port]) => ({ agent, url: `ws://127.0.0.1:${port}` }))
  const spec = join(folder, 'spec.json')
  await writeFile(spec, JSON.stringify({ outdir: folder, servers, cases: [cases], 'exclude-cases': [] }))
  const wstest = spawn('wstest', ['-m', 'fuzzingclient', '-s', spec], { stdio: 'inherit', cwd: folder })
  await once(wstest, 'exit')
  return JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as Record<
    string,
    Record<string, Verdict>
  >
}

function verdict(given: Verdict | undefined): string {
  return given ? `${given.behavior}, closed ${given.behaviorClose} ${given.remoteCloseCode}` : 'nothing'
}
