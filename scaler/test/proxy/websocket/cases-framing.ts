import type { Case } from './case.ts'
import { BINARY, closeFrame, CONTINUATION, frame, PING, PONG, TEXT } from './frames.ts'

const NORMAL = 1000
const PROTOCOL_ERROR = 1002

const closed = (id: string, code: number, answers: number, ...send: Buffer[]): Case => ({
  id,
  send,
  answers,
  code,
})
const echoed = (id: string, answers: number, ...send: Buffer[]): Case => closed(id, NORMAL, answers, ...send)
const failed = (id: string, answers: number, ...send: Buffer[]): Case =>
  closed(id, PROTOCOL_ERROR, answers, ...send)

/** Cuts bytes into pieces, each to be written by itself. */
export function chop(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
}

const LENGTHS = [0, 125, 126, 127, 128, 65_535, 65_536]

/** 1: text and binary messages at every boundary of the length's encoding. */
export const FRAMING: readonly Case[] = [TEXT, BINARY].flatMap((opcode) => [
  ...LENGTHS.map((length, i) => echoed(`1.${opcode}.${i + 1}`, 1, frame(opcode, Buffer.alloc(length, '*')))),
  echoed(`1.${opcode}.8`, 1, ...chop(frame(opcode, Buffer.alloc(65_536, '*')), 997)),
])

const ALL_BYTES = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff])
const LONGEST = Buffer.alloc(125, 0xfe)
const pings = Array.from({ length: 10 }, (_, i) => frame(PING, `payload-${i}`))

/** 2: pings and pongs. */
export const PINGS: readonly Case[] = [
  echoed('2.1', 1, frame(PING)),
  echoed('2.2', 1, frame(PING, 'Hello, world!')),
  echoed('2.3', 1, frame(PING, ALL_BYTES)),
  echoed('2.4', 1, frame(PING, LONGEST)),
  failed('2.5', 0, frame(PING, Buffer.alloc(126, 0xfe))),
  echoed('2.6', 1, ...chop(frame(PING, LONGEST), 1)),
  echoed('2.7', 0, frame(PONG)),
  echoed('2.8', 0, frame(PONG, 'unsolicited')),
  echoed('2.9', 1, frame(PONG, 'unsolicited'), frame(PING, 'payload')),
  echoed('2.10', 10, ...pings),
  echoed('2.11', 10, ...pings.flatMap((ping) => chop(ping, 1))),
  failed('2.5 pong', 0, frame(PONG, Buffer.alloc(126, 0xfe))),
]

const hello = frame(TEXT, 'Hello, world!')

/** 3: reserved bits without an extension that gives them a meaning. */
export const RESERVED_BITS: readonly Case[] = [1, 2, 3, 4, 5, 6, 7].flatMap((reserved) => [
  failed(`3.${reserved} text`, 0, frame(TEXT, 'Hello', { reserved })),
  failed(`3.${reserved} binary`, 0, frame(BINARY, ALL_BYTES, { reserved })),
  failed(`3.${reserved} ping`, 0, frame(PING, 'Hello', { reserved })),
  failed(`3.${reserved} after text`, 1, hello, frame(TEXT, 'Hello', { reserved }), frame(PING)),
  failed(
    `3.${reserved} chopped`,
    1,
    ...chop(Buffer.concat([hello, frame(TEXT, 'Hello', { reserved }), frame(PING)]), 1),
  ),
])

/** 4: opcodes that have no meaning. */
export const RESERVED_OPCODES: readonly Case[] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
  failed(`4 opcode ${opcode}`, 0, frame(opcode)),
  failed(`4 opcode ${opcode} with payload`, 0, frame(opcode, 'reserved')),
  failed(`4 opcode ${opcode} after text`, 1, hello, frame(opcode, 'reserved'), frame(PING)),
  failed(`4 opcode ${opcode} chopped`, 1, ...chop(Buffer.concat([hello, frame(opcode), frame(PING)]), 1)),
])

const part = (opcode: number, payload: string | Buffer): Buffer => frame(opcode, payload, { fin: false })
const first = part(TEXT, 'fragment1')
const last = frame(CONTINUATION, 'fragment2')
const ping = frame(PING, 'ping')
const five = (opcode: number): Buffer[] => [
  part(opcode, 'fragment1'),
  part(CONTINUATION, 'fragment2'),
  ping,
  part(CONTINUATION, 'fragment3'),
  part(CONTINUATION, 'fragment4'),
  ping,
  frame(CONTINUATION, 'fragment5'),
]

/** 5: fragments, with control frames between them, and those that are none. */
export const FRAGMENTS: readonly Case[] = [
  failed('5.1', 0, part(PING, 'fragment1'), last),
  failed('5.2', 0, part(PONG, 'fragment1'), last),
  echoed('5.3', 1, first, last),
  echoed('5.4', 1, Buffer.concat([first, last])),
  echoed('5.5', 1, ...chop(Buffer.concat([first, last]), 1)),
  echoed('5.6', 2, first, ping, last),
  echoed('5.7', 2, Buffer.concat([first, ping, last])),
  echoed('5.8', 2, ...chop(Buffer.concat([first, ping, last]), 1)),
  failed('5.9', 0, frame(CONTINUATION, 'orphan'), hello),
  failed('5.10', 0, Buffer.concat([frame(CONTINUATION, 'orphan'), hello])),
  failed('5.11', 0, ...chop(Buffer.concat([frame(CONTINUATION, 'orphan'), hello]), 1)),
  failed('5.12', 0, part(CONTINUATION, 'orphan'), hello),
  failed('5.13', 0, Buffer.concat([part(CONTINUATION, 'orphan'), hello])),
  failed('5.14', 0, ...chop(Buffer.concat([part(CONTINUATION, 'orphan'), hello]), 1)),
  failed('5.15', 1, first, last, part(CONTINUATION, 'fragment3'), frame(TEXT, 'fragment4')),
  failed('5.16', 0, part(CONTINUATION, 'fragment1'), part(TEXT, 'fragment2'), last),
  failed('5.17', 0, frame(CONTINUATION, 'fragment1'), part(TEXT, 'fragment2'), last),
  failed('5.18', 0, first, frame(TEXT, 'fragment2')),
  echoed('5.19', 3, ...five(TEXT)),
  echoed('5.20', 3, ...five(TEXT).flatMap((bytes) => chop(bytes, 1))),
  echoed('5 binary', 3, ...five(BINARY)),
  failed('5 unmasked', 0, frame(TEXT, 'Hello', { masked: false })),
  closed('5 length of 2^63', 1009, 0, Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
]

/** 10: fragments of one message, one after another. */
export const AUTO_FRAGMENTS: readonly Case[] = [1_300, 997, 1].map((size) => {
  const parts = chop(Buffer.alloc(size === 1 ? 2_000 : 65_536, '*'), size)
  const frames = parts.map((bytes, i) =>
    frame(i === 0 ? TEXT : CONTINUATION, bytes, { fin: i === parts.length - 1 }),
  )
  return echoed(`10.1 by ${size}`, 1, ...frames)
})

const VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
const INVALID = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535]

/** 7: how a connection ends. */
export const CLOSES: readonly Case[] = [
  echoed('7.1.1', 1, hello, closeFrame(1000)),
  echoed('7.1.2', 0, closeFrame(1000), closeFrame(1000)),
  echoed('7.1.3', 0, Buffer.concat([closeFrame(1000), frame(PING)]), closeFrame(1000)),
  echoed('7.1.4', 0, Buffer.concat([closeFrame(1000), hello]), closeFrame(1000)),
  echoed('7.1.5', 0, Buffer.concat([first, closeFrame(1000), last]), closeFrame(1000)),
  echoed('7.1.6', 2, frame(TEXT, Buffer.alloc(256 * 1024, 'B')), hello, closeFrame(1000)),
  closed('7.3.1', 1005, 0, closeFrame()),
  closed('7.3.2', PROTOCOL_ERROR, 0, frame(8, 'a')),
  closed('7.3.3', 1000, 0, closeFrame(1000)),
  closed('7.3.4', 1000, 0, closeFrame(1000, 'Hello, world!')),
  closed('7.3.5', 1000, 0, closeFrame(1000, '*'.repeat(123))),
  closed('7.3.6', PROTOCOL_ERROR, 0, closeFrame(1000, '*'.repeat(124))),
  closed('7.5.1', 1007, 0, closeFrame(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]))),
  ...VALID.map((code) => closed(`7.7 ${code}`, code, 0, closeFrame(code, 'bye'))),
  ...INVALID.map((code) => closed(`7.9 ${code}`, PROTOCOL_ERROR, 0, closeFrame(code, 'bye'))),
]
