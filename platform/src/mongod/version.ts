import FIXED from './fixed-versions.json' with { type: 'json' }

/*
 * `fixed-versions.json` has the first patch release of each line that does not leak its heap to everybody who can connect
 * (CVE-2025-14847). Lines between these, such as 7.1, are not maintained and have no such release. Older lines lack features
 * that the platform needs. It is JSON because `npm start` reads it before anything is installed.
 */

/** The version in the output of `mongod --version`. */
export function versionIn(text: string): string | undefined {
  return /\bdb version v(\d+\.\d+\.\d+)/.exec(text)?.[1]
}

/** Whether a version, such as 6.0.5, has the vulnerability or is too old for the platform. */
export function isAffected(version: string, fixed: readonly string[] = FIXED): boolean {
  const line = (text: string): string => text.split('.', 2).join('.')
  const same = fixed.find((other) => line(other) === line(version))
  return order(version, same ?? fixed.at(-1)!) < 0
}

/** The usable versions, for messages. */
export function needs(): string {
  return `${FIXED.join(', ')} or a newer release of one of these lines`
}

function order(a: string, b: string): number {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)]
  return x[0]! - y[0]! || x[1]! - y[1]! || x[2]! - y[2]!
}
