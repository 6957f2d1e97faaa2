export type HeaderLine = readonly [name: string, value: string]

/** An HTTP/1.1 request or answer as it stood on the wire. */
export interface Message {
  /** `GET /x HTTP/1.1` or `HTTP/1.1 200 OK`. */
  readonly start: string
  readonly headers: readonly HeaderLine[]
  readonly body: string
  readonly framing: 'length' | 'chunked' | 'close' | 'none'
  readonly trailers: readonly HeaderLine[]
}

/** What a message is read from: see `Wire`. */
export interface ByteSource {
  take(length: number): Promise<Buffer>
  until(mark: string): Promise<string>
  rest(): Promise<string>
}

const NO_BODY = /^HTTP\/1\.1 (1\d\d|204|304)/

/** Reads one message and fails on whatever is not exactly HTTP/1.1, so that a test need not look. */
export async function readMessage(wire: ByteSource, options: { noBody?: boolean }): Promise<Message> {
  const [start = '', ...lines] = (await wire.until('\r\n\r\n')).split('\r\n')
  const headers = lines.map(parseLine)
  const length = all(headers, 'content-length')
  const coding = all(headers, 'transfer-encoding')
  const isAnswer = start.startsWith('HTTP/')
  if (length.length > 1 || coding.length > 1 || (length.length > 0 && coding.length > 0))
    throw new Error(`Ambiguous length: ${JSON.stringify(headers)}`)
  if (options.noBody || NO_BODY.test(start))
    return { start, headers, body: '', framing: 'none', trailers: [] }
  if (coding.length > 0) return { start, headers, framing: 'chunked', ...(await readChunks(wire)) }
  if (length.length > 0) {
    if (!/^\d+$/.test(length[0]!)) throw new Error(`Bad Content-Length ${length[0]}`)
    const body = (await wire.take(Number(length[0]))).toString('latin1')
    return { start, headers, body, framing: 'length', trailers: [] }
  }
  if (!isAnswer) return { start, headers, body: '', framing: 'none', trailers: [] }
  return { start, headers, body: await wire.rest(), framing: 'close', trailers: [] }
}

async function readChunks(wire: ByteSource): Promise<{ body: string; trailers: HeaderLine[] }> {
  let body = ''
  for (;;) {
    const chunk = await readChunk(wire)
    if (chunk === '') break
    body += chunk
  }
  const trailers: HeaderLine[] = []
  for (;;) {
    const line = await wire.until('\r\n')
    if (line === '') return { body, trailers }
    trailers.push(parseLine(line))
  }
}

/** One chunk's data; empty for the last one, whose trailers are still to be read. */
export async function readChunk(wire: ByteSource): Promise<string> {
  const size = await wire.until('\r\n')
  if (!/^[0-9a-fA-F]+$/.test(size)) throw new Error(`Bad chunk size ${JSON.stringify(size)}`)
  if (Number.parseInt(size, 16) === 0) return ''
  const data = (await wire.take(Number.parseInt(size, 16))).toString('latin1')
  const end = (await wire.take(2)).toString('latin1')
  if (end !== '\r\n') throw new Error('A chunk does not end where it should.')
  return data
}

function parseLine(line: string): HeaderLine {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\r\n\0]*)$/.exec(line)
  if (!match) throw new Error(`Not a header line: ${JSON.stringify(line)}`)
  return [match[1]!, match[2]!]
}

/** Every value of a header, in order. */
export function all(headers: readonly HeaderLine[], name: string): string[] {
  return headers.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value)
}

export function header(message: Message, name: string): string | undefined {
  return all(message.headers, name)[0]
}

export function status(message: Message): number {
  return Number(message.start.split(' ')[1])
}
