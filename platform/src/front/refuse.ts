import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { refuse, refuseSocket } from './answers.ts'
import type { Refusal } from './bounds.ts'

/** Sends a refusal after its delay, unless the client has disconnected. */
export function refuseLater(answer: ServerResponse | Duplex, refusal: Refusal): void {
  const { status, message, code, headers, delay } = refusal
  const say = (): void =>
    'writeHead' in answer
      ? refuse(answer, status, message, code, { headers })
      : refuseSocket(answer, status, message, code, { headers })
  if (delay === 0) return say()
  const timer = setTimeout(say, delay)
  answer.once('close', () => clearTimeout(timer))
}
