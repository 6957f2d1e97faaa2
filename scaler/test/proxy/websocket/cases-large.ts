import type { Case } from './case.ts'
import { chop } from './cases-framing.ts'
import { BINARY, CONTINUATION, frame, PING, TEXT } from './frames.ts'

const KB = 1024
const MB = 1024 * KB

/** No two parts of it are the same, so that one that is lost or in the wrong place shows. */
function bytes(length: number): Buffer {
  const data = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) data.writeUInt32LE(Math.imul(i, 2_654_435_761) >>> 1, i)
  return Buffer.from(data.map((byte) => byte & 0x7f))
}
const LARGEST = bytes(16 * MB)

function fragments(opcode: number, size: number, by: number): Buffer[] {
  const parts = chop(LARGEST.subarray(0, size), by)
  return parts.map((part, i) => frame(i === 0 ? opcode : CONTINUATION, part, { fin: i === parts.length - 1 }))
}

/** 9: large messages, whole, in fragments and in small writes, and many small ones. */
export const LARGE: readonly Case[] = [TEXT, BINARY].flatMap((opcode): Case[] => [
  ...[64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB].map((size) => ({
    id: `9.${opcode} ${size}`,
    send: [frame(opcode, LARGEST.subarray(0, size))],
    answers: 1,
    code: 1000,
  })),
  ...[256, KB, 4 * KB, 16 * KB, 64 * KB, 256 * KB, MB].map((by) => ({
    id: `9.${opcode + 2} by ${by}`,
    send: fragments(opcode, by < 4 * KB ? MB : 4 * MB, by),
    answers: 1,
    code: 1000,
  })),
  ...[64, 128, 256, 512, KB, 2 * KB].map((by) => ({
    id: `9.${opcode + 4} chopped by ${by}`,
    send: chop(frame(opcode, LARGEST.subarray(0, 256 * KB)), by),
    answers: 1,
    code: 1000,
  })),
  ...[0, 16, 64, 256, KB, 4 * KB].map((size) => ({
    id: `9.${opcode + 6} 500 of ${size}`,
    send: Array.from({ length: 500 }, (_, i) => frame(opcode, LARGEST.subarray(i, i + size))),
    answers: 500,
    code: 1000,
  })),
  {
    id: `9.${opcode + 6} pings between fragments`,
    send: fragments(opcode, MB, 16 * KB).flatMap((part) => [frame(PING, 'still there'), part]),
    answers: 65,
    code: 1000,
  },
])
