import { createHash } from 'node:crypto'
import type { Wire } from '../wire.ts'

export const CONTINUATION = 0
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

export interface FrameOptions {
  /** Default: true, the last fragment. */
  readonly fin?: boolean
  /** The three reserved bits as a number; 0 unless told otherwise. */
  readonly reserved?: number
  readonly masked?: boolean
  /** In place of the payload's own length. */
  readonly length?: number
}

/** Of no effect on the payload, so that large ones cost nothing; small ones get a real mask. */
const NO_MASK = Buffer.alloc(4)
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
const LARGE = 64 * 1024

/** One frame as a client sends it (RFC 6455 §5.2), valid or not. */
export function frame(opcode: number, payload: string | Buffer = '', options: FrameOptions = {}): Buffer {
  const { fin = true, reserved = 0, masked = true } = options
  const data = typeof payload === 'string' ? Buffer.from(payload) : payload
  const length = options.length ?? data.length
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode
  const bit = masked ? 0x80 : 0
  let head: Buffer
  if (length < 126) head = Buffer.from([first, bit | length])
  else if (length < 65_536) head = Buffer.from([first, bit | 126, length >> 8, length & 255])
  else {
    head = Buffer.alloc(10)
    head[0] = first
    head[1] = bit | 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  if (!masked) return Buffer.concat([head, data])
  if (data.length >= LARGE) return Buffer.concat([head, NO_MASK, data])
  return Buffer.concat([head, MASK, data.map((byte, i) => byte ^ MASK[i % 4]!)])
}

export function closeFrame(code?: number, reason: string | Buffer = ''): Buffer {
  if (code === undefined) return frame(CLOSE)
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]))
}

export interface Frame {
  readonly opcode: number
  readonly fin: boolean
  readonly reserved: number
  readonly payload: Buffer
}

/** The next frame that a server sent. */
export async function readFrame(wire: Wire): Promise<Frame> {
  const [first, second] = (await wire.take(2)) as unknown as [number, number]
  if (second & 0x80) throw new Error('A server masked its frame.')
  let length = second & 0x7f
  if (length === 126) length = (await wire.take(2)).readUInt16BE()
  else if (length === 127) length = Number((await wire.take(8)).readBigUInt64BE())
  const payload = await wire.take(length)
  return { opcode: first & 15, fin: (first & 0x80) !== 0, reserved: (first >> 4) & 7, payload }
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** An upgrade request; header lines and the path are the test's to change. */
export function upgradeRequest(lines = '', path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${lines}\r\n`
}

/** Reads the answer to an upgrade request, which must be a right one; returns its head. */
export async function accepted(wire: Wire): Promise<string> {
  const head = await wire.until('\r\n\r\n')
  if (!head.startsWith('HTTP/1.1 101 ') || !head.includes(ACCEPT)) throw new Error(`Not upgraded: ${head}`)
  return head
}
