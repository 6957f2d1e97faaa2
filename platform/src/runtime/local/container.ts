import { existsSync, readFileSync } from 'node:fs'
import type { IsolationReport } from './protocol.ts'

/** The restrictions of a container that matter to the sandbox. */
export interface ContainerFacts {
  readonly root: boolean
  /** Whether parts of /proc are masked. Then no user namespace may mount its own /proc. */
  readonly procMasked: boolean
  /** AppArmor's profile of this process; undefined if there is none. */
  readonly appArmor: string | undefined
}

/** The image contains the profile: `docker run --rm --entrypoint cat IMAGE deploy/docker/seccomp.json`. */
export const SECCOMP_PROFILE = 'deploy/docker/seccomp.json'

/** Undefined outside of Docker and Podman containers. */
export function containerFacts(): ContainerFacts | undefined {
  if (!existsSync('/.dockerenv') && !existsSync('/run/.containerenv')) return undefined
  const profile = read('/proc/self/attr/apparmor/current') ?? read('/proc/self/attr/current')
  return {
    root: process.geteuid?.() === 0,
    procMasked: / \/proc\/\S+ /.test(read('/proc/self/mountinfo') ?? ''),
    appArmor: profile && !profile.startsWith('unconfined') ? profile : undefined,
  }
}

/** The flags of `docker run` that provide the missing mechanisms, each with a text about what it allows. */
export function containerFlags(report: IsolationReport, facts: ContainerFacts): string[] {
  if (report.minimum) return []
  const why = (mechanism: string): string =>
    report.missing.find((one) => one.mechanism === mechanism)?.why ?? ''
  const noNamespaces = /unshare/.test(why('pid_namespace'))
  const flags: string[] = []
  if (facts.root && noNamespaces) flags.push('--cap-add SYS_ADMIN: root may make namespaces')
  if (noNamespaces || /pivot_root|unshare/.test(why('mount_namespace'))) {
    flags.push(
      `--security-opt seccomp=${SECCOMP_PROFILE}: unshare, mount and pivot_root, which Docker's own profile blocks`,
    )
  }
  if (!facts.root && facts.procMasked) {
    flags.push('--security-opt systempaths=unconfined: each app a /proc of its own')
  }
  if (facts.appArmor) {
    flags.push(`--security-opt apparmor=unconfined: mount, which the profile ${facts.appArmor} blocks`)
  }
  return flags
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').replaceAll('\0', '').trim() || undefined
  } catch {
    return undefined
  }
}
