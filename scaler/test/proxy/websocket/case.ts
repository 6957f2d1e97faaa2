import { createHash } from 'node:crypto'
import { Wire, WireClosed } from '../wire.ts'
import { accepted, CLOSE, closeFrame, readFrame, upgradeRequest } from './frames.ts'

/** What a client sends to an echo server after the handshake, and what it must see. Numbered as in the Autobahn suite. */
export interface Case {
  readonly id: string
  /** Each is written by itself. A close frame with code 1000 follows, unless the last is one already. */
  readonly send: readonly Buffer[]
  /** Frames that come back before the close frame. */
  readonly answers: number
  /** The code of the close frame that comes back; 1005 for one without. */
  readonly code: number
}

/** All that a client can see of a connection, in order. */
export interface Outcome {
  /** `opcode length hash` of each frame; large payloads are not worth showing. */
  readonly frames: string[]
  readonly code: number | undefined
  readonly reason: string
  /** `closed`: after close frames both ways. `cut`: without. */
  readonly end: 'closed' | 'cut'
}

/** The first byte of an unfragmented close frame. */
const FINAL_CLOSE = 0x80 | CLOSE

export async function run({ send }: Case, address: number | string): Promise<Outcome> {
  const wire = await Wire.to(address)
  try {
    wire.send(upgradeRequest())
    await accepted(wire)
    const seen = observe(wire)
    const ends = send.at(-1)?.[0] === FINAL_CLOSE
    for (const bytes of ends ? send : [...send, closeFrame(1000)]) {
      // A server that has failed the connection need not take the rest.
      if (wire.ended || !wire.socket.writable) break
      await wire.flush(bytes)
    }
    return await seen
  } finally {
    wire.close()
  }
}

async function observe(wire: Wire): Promise<Outcome> {
  const frames: string[] = []
  try {
    for (;;) {
      const { opcode, fin, reserved, payload } = await readFrame(wire)
      if (opcode === CLOSE) {
        wire.send(closeFrame(1000)).socket.end()
        await wire.rest()
        const code = payload.length < 2 ? 1005 : payload.readUInt16BE()
        return { frames, code, reason: payload.subarray(2).toString(), end: 'closed' }
      }
      const hash = createHash('sha1').update(payload).digest('hex').slice(0, 8)
      frames.push(
        `${opcode}${fin ? '' : ' fragment'}${reserved ? ` reserved ${reserved}` : ''} ${payload.length} ${hash}`,
      )
    }
  } catch (error) {
    if (!(error instanceof WireClosed)) throw error
    return { frames, code: undefined, reason: '', end: 'cut' }
  }
}
