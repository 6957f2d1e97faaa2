/** The load of the saturation benchmark; prints answers a second by status. */
import autocannon from 'autocannon'
import { connect } from 'node:net'
import { largestFiles } from '../e2e/harness/attacks.ts'

const ADDRESS = '198.51.100.66'
const CONNECTIONS = 128
const [flood = '', url = '', token = '', seconds = '6'] = process.argv.slice(2)

const bearer = { authorization: `Bearer ${token}` }
const request: Record<string, Partial<autocannon.Options>> = {
  stranger: { url: `${url}/api/auth/me` },
  tenant: { url: `${url}/api/apps`, headers: bearer },
  'largest drafts': {
    url: `${url}/api/validate`,
    method: 'POST',
    headers: { ...bearer, 'content-type': 'application/json' },
    body: JSON.stringify({ files: largestFiles() }),
    connections: 16,
  },
}

async function requests(options: Partial<autocannon.Options>): Promise<string> {
  const { statusCodeStats, duration } = await autocannon({
    url,
    connections: CONNECTIONS,
    ...options,
    headers: { ...options.headers, 'x-forwarded-for': ADDRESS },
    duration: Number(seconds),
  })
  const parts = Object.entries(statusCodeStats ?? {}).map(
    ([status, { count }]) => `${status}: ${Math.round((count ?? 0) / duration)}`,
  )
  return parts.join(', ') || 'none'
}

/** Opens new connections. Each sends many requests in one packet. */
async function connections(): Promise<string> {
  const { port } = new URL(url)
  const text = `GET /api/auth/me HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: ${ADDRESS}\r\n\r\n`.repeat(
    500,
  )
  const end = Date.now() + Number(seconds) * 1000
  let opened = 0
  const one = (): Promise<void> =>
    new Promise((closed) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(text))
      socket
        .resume()
        .on('error', () => undefined)
        .on('close', () => closed())
      opened++
    })
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (Date.now() < end)
        await Promise.race([one(), new Promise((late) => setTimeout(late, end - Date.now()))])
    }),
  )
  return `opened: ${Math.round(opened / Number(seconds))}`
}

console.log(flood === 'connections' ? await connections() : await requests(request[flood]!))
process.exit(0)
