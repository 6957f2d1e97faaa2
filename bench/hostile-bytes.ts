import { connect } from 'node:net'

/** An app that takes the transport from uvicorn and writes bytes that no server would write. */
export const HOSTILE_APP = `import asyncio

HEAD = b'HTTP/1.1 200 OK\\r\\n'
CHUNKED = HEAD + b'transfer-encoding: chunked\\r\\n\\r\\n'
ANSWERS = {
    '/trailers': (CHUNKED + b'0\\r\\n', b'a: b\\r\\n' * 10_000),
    '/head': (HEAD, b'a:\\r\\n' * 16_000),
    '/lines': (HEAD, b'a: b\\r\\n' * 999 + b'content-length: 0\\r\\n\\r\\n'),
    '/interim': (b'', b'HTTP/1.1 103 Early Hints\\r\\nlink: </a>\\r\\n\\r\\n' * 1_500),
    '/chunks': (CHUNKED, b'1\\r\\nx\\r\\n' * 11_000),
    '/extensions': (CHUNKED, b'1;' + b'e' * 60_000 + b'\\r\\nx\\r\\n'),
}

def transport(send):
    while not hasattr(getattr(send, '__self__', None), 'transport'):
        send = next(c.cell_contents for c in send.__closure__ if callable(c.cell_contents))
    return send.__self__.transport

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
    answer = ANSWERS.get(scope['path'])
    if answer is None:
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        return await send({'type': 'http.response.body', 'body': b'ok'})
    wire = transport(send)
    wire.write(answer[0])
    for _ in range(200):
        if wire.is_closing() or scope['path'] == '/lines' and _ > 0: return
        wire.write(answer[1])
        await asyncio.sleep(0.005)
    wire.close()
`

const lines = (count: number): string =>
  Array.from({ length: count }, (_, n) => `X-${n}: ${'a'.repeat(20)}\r\n`).join('')
const post = (host: string, path: string, headers: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}Transfer-Encoding: chunked\r\n\r\n`
const tiny = '1\r\nx\r\n'.repeat(11_000)
const small = `14\r\n${'x'.repeat(20)}\r\n`.repeat(60_000)
const form = '--B\r\nContent-Disposition: form-data; name="static/a.bin"\r\n\r\n'

export interface HostileBytes {
  readonly name: string
  readonly bytes: string
}

/** The bytes that strangers, the owner of an app and the app itself can send. `app` is the app's host. */
export function hostileBytes(console: string, app: string, appId: string, token: string): HostileBytes[] {
  const get = (host: string, path: string, headers = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`
  const upload = `Authorization: Bearer ${token}\r\nContent-Type: multipart/form-data; boundary=B\r\n`
  const cookies = Array.from({ length: 20_000 }, (_, n) => `${n.toString(36)}=`).join('; ')
  return [
    { name: '200 header lines, an app', bytes: get(app, '/', lines(198)) },
    { name: '200 header lines, the console', bytes: get(console, '/', lines(198)) },
    { name: '1,980 header lines', bytes: get(app, '/', lines(1_980)) },
    { name: '100,000 header lines', bytes: get(app, '/', 'a:\r\n'.repeat(100_000)) },
    { name: '20,000 cookies', bytes: get(console, '/', `Cookie: ${cookies}\r\n`) },
    { name: '11,000 chunks of one byte, an app', bytes: `${post(app, '/', '')}${tiny}0\r\n\r\n` },
    { name: '60,000 chunks of 20 bytes, an app', bytes: `${post(app, '/', '')}${small}0\r\n\r\n` },
    {
      name: '60,000 chunks of 20 bytes, an asset',
      bytes: `${post(console, `/api/apps/${appId}/assets`, upload)}${form.length.toString(16)}\r\n${form}\r\n${small}0\r\n\r\n`,
    },
    ...['trailers', 'head', 'lines', 'interim', 'chunks', 'extensions'].map((path) => ({
      name: `an app’s answer: ${path}`,
      bytes: get(app, `/${path}`),
    })),
  ]
}

/** Resolves to the status of the answer, when the connection has ended or nothing has arrived for a while. */
export async function sendBytes(port: number, { bytes }: HostileBytes): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  let start = ''
  socket.on('data', (data: Buffer) => (start ||= data.subarray(9, 12).toString()))
  socket.setTimeout(2_000, () => socket.destroy())
  socket.write(bytes)
  await new Promise((done) => socket.once('close', done))
  return start || 'cut'
}
