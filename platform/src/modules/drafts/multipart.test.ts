import { expect, test } from 'vitest'
import { readMultipart, type Part } from './multipart.ts'

const LIMITS = { maxBytes: 100_000, maxParts: 3, maxPartBytes: 1_000 }
const TYPE = 'multipart/form-data; boundary=cut'

async function* inPieces(body: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size)
}

function form(...parts: [name: string, content: string | Buffer][]): Buffer {
  return Buffer.concat([
    ...parts.flatMap(([name, content]) => [
      Buffer.from(`--cut\r\nContent-Disposition: form-data; name="${name}"; filename="x"\r\n`),
      Buffer.from('Content-Type: application/octet-stream\r\n\r\n'),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--cut--\r\n'),
  ])
}

async function read(body: Buffer, size = body.length, type = TYPE): Promise<Part[]> {
  const parts: Part[] = []
  for await (const part of readMultipart(type, inPieces(body, size), LIMITS)) parts.push(part)
  return parts
}

test('bytes arrive unchanged, wherever the network splits them', async () => {
  // All byte values, and bytes that resemble a delimiter.
  const content = Buffer.concat([
    Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
    Buffer.from('\r\n--cu\r\n--\r\n\r\n--cu'),
  ])
  const body = form(['static/a.png', content], ['static/ü 数.bin', ''])
  for (let size = 1; size <= body.length; size += size < 90 ? 1 : 37) {
    expect(await read(body, size)).toEqual([
      { name: 'static/a.png', bytes: content.length, content },
      { name: 'static/ü 数.bin', bytes: 0, content: Buffer.alloc(0) },
    ])
  }
})

test('the platform reads a FormData that fetch has encoded', async () => {
  const sent = new FormData()
  sent.append('static/"quoted"\n.png', new Blob([Buffer.from([0, 255, 13, 10])]), 'logo.png')
  const request = new Request('http://x', { method: 'POST', body: sent })
  const [part, ...rest] = await read(
    Buffer.from(await request.arrayBuffer()),
    7,
    request.headers.get('content-type')!,
  )
  expect(rest).toEqual([])
  expect(part).toMatchObject({ name: 'static/"quoted"\r\n.png', content: Buffer.from([0, 255, 13, 10]) })
})

test('a part that is too large is skipped, and the others are read', async () => {
  const body = form(['a', 'x'.repeat(1_001)], ['b', 'y'.repeat(1_000)])
  expect(await read(body, 100)).toEqual([
    { name: 'a', bytes: 1_001, content: undefined },
    { name: 'b', bytes: 1_000, content: Buffer.from('y'.repeat(1_000)) },
  ])
})

test('a form without parts has none, and a form after other text is read', async () => {
  expect(await read(form())).toEqual([])
  expect(await read(Buffer.concat([Buffer.from('preamble\r\n'), form(['a', 'b'])]))).toHaveLength(1)
})

test.each([
  ['breaks off in a part', form(['a', 'long']).subarray(0, -12), TYPE],
  ['breaks off before its end', form(['a', 'b']).subarray(0, -6), TYPE],
  ['is empty', Buffer.alloc(0), TYPE],
  ['has another boundary', form(['a', 'b']), 'multipart/form-data; boundary=other'],
  ['has no boundary', form(['a', 'b']), 'multipart/form-data'],
  ['has a part without headers', Buffer.from('--cut\r\n\r\nx\r\n--cut--'), TYPE],
  ['has a part without a name', Buffer.from('--cut\r\nContent-Type: x/y\r\n\r\nx\r\n--cut--'), TYPE],
  ['has endless headers', Buffer.from(`--cut\r\nX: ${'x'.repeat(20_000)}\r\n\r\nx\r\n--cut--`), TYPE],
  [
    'is not UTF-8 in a name',
    Buffer.from('--cut\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--cut--', 'latin1'),
    TYPE,
  ],
])('a form that %s is refused', async (_, body, type) => {
  await expect(read(body, 50, type)).rejects.toMatchObject({ code: 'FP_INVALID_MULTIPART' })
})

test('too many bytes and too many parts are refused, each with its limit', async () => {
  const many = form(['a', ''], ['b', ''], ['c', ''], ['d', ''])
  await expect(read(many)).rejects.toMatchObject({ code: 'FP_TOO_MANY_FILES', message: /3 files/ })
  await expect(read(form(['a', 'x'.repeat(100_000)]), 1_000)).rejects.toMatchObject({
    code: 'FP_BODY_TOO_LARGE',
  })
})
