import type { V1Pod } from '@kubernetes/client-node'
import { request } from 'node:http'
import type { Failure, Phase } from '../../types.ts'

/** The result of one probe. */
export interface ProbeResult {
  readonly ready: boolean
  /** Set if the pod is not going to be ready. */
  readonly failure?: Failure
  /** The phases of the start, in ms since the start of the container. */
  readonly phases?: readonly Phase[]
}

/** Probes a pod once. Rejects if the pod does not respond; the driver then probes again. */
export type Probe = (address: URL, signal: AbortSignal, pod: V1Pod) => Promise<ProbeResult>

/** A readiness probe by GET. */
export interface ReadinessOptions {
  /** The path of the probe. Default `/`. */
  readonly path?: string
  /** The status that means ready. Default: any status below 500. */
  readonly status?: number
}

/**
 * ms after which an attempt to connect is aborted and repeated. The first packet to an address that does not exist yet is lost,
 * and the system would resend it only after a second.
 */
const CONNECT_TIMEOUT = 200

/**
 * Creates a probe that sends one GET. The status decides whether the pod is ready; the phases come from the header
 * Server-Timing. Once connected, there is no time limit other than the signal: an app that needs long for its first response is
 * still starting.
 */
export function httpProbe({ path = '/', status }: ReadinessOptions = {}): Probe {
  return async (address, signal) => {
    const answer = await askPod(address, path, signal, { maxText: 0 })
    const ready = status === undefined ? answer.status < 500 : answer.status === status
    return { ready, ...(ready && answer.timing ? { phases: phasesOf(answer.timing) } : {}) }
  }
}

/** The response of a pod. */
export interface ProbeAnswer {
  readonly status: number
  /** The header Server-Timing. */
  readonly timing: string | undefined
  readonly text: string
}

/** The maximum number of characters that are read of a response. An app may send any amount. */
const MAX_TEXT = 64 * 1024

/**
 * Sends one GET on a new connection, for probes that need more than the status. The text is cut off after `maxText` characters.
 * Rejects if the pod does not respond, or when the signal aborts.
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
    // Not removed after the response: a later abort emits an error, which needs a listener.
    asked.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    asked.end()
  })
}

/** Parses the phases of a start from a Server-Timing header: `interpreter;dur=12.5, ready;dur=240`. */
export function phasesOf(timing: string): Phase[] {
  return timing.split(',').flatMap((metric) => {
    const [name = '', ...rest] = metric.split(';').map((part) => part.trim())
    const at = Number(rest.find((part) => part.startsWith('dur='))?.slice(4))
    return name && Number.isFinite(at) ? [{ name, at }] : []
  })
}
