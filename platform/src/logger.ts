import { pino, type Logger } from 'pino'
import type { Config } from './config.ts'

/** What the parts of the platform log with. A pino logger fits. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Fields that must never be logged, at any depth up to two levels. */
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
