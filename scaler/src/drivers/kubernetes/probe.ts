import type { V1Pod } from '@kubernetes/client-node'
import { request } from 'node:http'
import type { Failure, Phase } from '../../types.ts'

/** What one question to a pod has brought. */
export interface ProbeResult {
  readonly ready: boolean
  /** It is not going to be ready. */
  readonly failure?: Failure
  /** Of the start, in ms since the container's. */
  readonly phases?: readonly Phase[]
}

/** Asks a pod once. Rejects where nobody answers: it is asked again. */
export type Probe = (address: URL, signal: AbortSignal, pod: V1Pod) => Promise<ProbeResult>

/** How a GET tells whether a pod is ready. */
export interface ReadinessOptions {
  /** Default `/`. */
  readonly path?: string
  /** The one status that counts. Default: any below 500. */
  readonly status?: number
}

/**
 * ms until a connection that is not made is given up and tried again: the first packet to an address that is not there
 * yet is lost, and would be sent again after a second only.
 */
const CONNECT_TIMEOUT = 200

/**
 * One GET; ready by its status, with the phases of its Server-Timing. Once connected it has no time limit of its own: an app
 * that takes long for its first answer is starting, not dead.
 */
export function httpProbe({ path = '/', status }: ReadinessOptions = {}): Probe {
  return async (address, signal) => {
    const answer = await askPod(address, path, signal, { maxText: 0 })
    const ready = status === undefined ? answer.status < 500 : answer.status === status
    return { ready, ...(ready && answer.timing ? { phases: phasesOf(answer.timing) } : {}) }
  }
}

/** What a pod answered. */
export interface ProbeAnswer {
  readonly status: number
  /** The header Server-Timing. */
  readonly timing: string | undefined
  readonly text: string
}

/** Of an answer's text this many characters are read: it is an app that answers, with what it likes. */
const MAX_TEXT = 64 * 1024

/**
 * One GET on a connection of its own, for probes that look at more than the status. Of the text at most `maxText` characters
 * are read; where the answer has more it is cut off there. Rejects where nobody answers, or the signal fires.
 */
export function askPod(
  address: URL,
  path: string,
  signal: AbortSignal,
  { maxText = MAX_TEXT }: { maxText?: number } = {},
): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, address), { signal, agent: false }, (response) => {
      let text = ''
      const answered = (): void =>
        resolve({
          status: response.statusCode ?? 0,
          timing: response.headers['server-timing'] as string | undefined,
          text: text.slice(0, maxText),
        })
      const enough = (): void => {
        answered()
        asked.destroy()
      }
      response
        .setEncoding('utf8')
        .on('error', reject)
        .once('end', answered)
        .on('data', (part: string) => {
          text += part
          if (text.length >= maxText) enough()
        })
      if (maxText === 0) enough()
    })
    const timer = setTimeout(() => asked.destroy(new Error('no connection in time')), CONNECT_TIMEOUT).unref()
    asked.once('socket', (socket) => socket.once('connect', () => clearTimeout(timer)))
    // Stays: an abort after the answer must find a listener.
    asked.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    asked.end()
  })
}

/** The phases of a start that a Server-Timing tells: `interpreter;dur=12.5, ready;dur=240`. */
export function phasesOf(timing: string): Phase[] {
  return timing.split(',').flatMap((metric) => {
    const [name = '', ...rest] = metric.split(';').map((part) => part.trim())
    const at = Number(rest.find((part) => part.startsWith('dur='))?.slice(4))
    return name && Number.isFinite(at) ? [{ name, at }] : []
  })
}
