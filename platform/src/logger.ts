import type { IncomingMessage } from 'node:http'
import { pino, type Logger } from 'pino'
import type { Config } from './config.ts'
import { newId } from './ids.ts'

/** Never in a log, wherever they stand. */
const SECRET_PATHS = ['authorization', 'cookie', 'password', 'token', 'access_token', 'set-cookie'].flatMap(
  (name) => {
    const key = name.includes('-') ? `["${name}"]` : name
    return [key, `*${key.startsWith('[') ? '' : '.'}${key}`, `*.*${key.startsWith('[') ? '' : '.'}${key}`]
  },
)

export function createLogger(config: Pick<Config, 'logLevel' | 'logFormat'>): Logger {
  const pretty = config.logFormat === 'pretty' || (config.logFormat === 'auto' && process.stdout.isTTY)
  return pino({
    level: config.logLevel,
    redact: { paths: SECRET_PATHS, censor: '[secret]' },
    base: undefined as never,
    timestamp: pino.stdTimeFunctions.isoTime,
    ...(pretty && {
      transport: {
        target: 'pino-pretty',
        options: { ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', singleLine: true },
      },
    }),
  })
}

/** The caller's `x-request-id` if it is harmless in logs and headers, else a new id. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : newId('req')
}
