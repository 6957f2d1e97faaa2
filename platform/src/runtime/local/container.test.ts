import { describe, expect, it } from 'vitest'
import { containerFlags, SECCOMP_PROFILE, type ContainerFacts } from './container.ts'
import type { IsolationReport } from './protocol.ts'

/** The results of the probes in containers of Docker 20.10 with these flags; see docs/self-hosting.md. */
const DENIED = '[Errno 1] unshare: Operation not permitted'
const LACKS = {
  nothing: { user_namespace: DENIED, pid_namespace: DENIED, mount_namespace: DENIED },
  proc: { mount_namespace: 'PermissionError: [Errno 1] mount /proc/proc: Operation not permitted' },
  pivot: { mount_namespace: 'PermissionError: [Errno 1] pivot_root: Operation not permitted' },
}
const facts = (some: Partial<ContainerFacts> = {}): ContainerFacts => ({
  root: false,
  procMasked: true,
  appArmor: undefined,
  ...some,
})

function report(lacks: Record<string, string>, minimum = false): IsolationReport {
  const missing = Object.entries(lacks).map(([mechanism, why]) => ({ mechanism, why, effect: '' }))
  return { mechanisms: {}, missing, minimum }
}

/** The flags without their explanations. */
function flags(...args: Parameters<typeof containerFlags>): string[] {
  return containerFlags(...args).map((line) => line.split(': ')[0]!)
}

describe('the flags that a container needs', () => {
  const seccomp = `--security-opt seccomp=${SECCOMP_PROFILE}`
  const proc = '--security-opt systempaths=unconfined'

  it('are named together, as a user', () => {
    expect(flags(report(LACKS.nothing), facts())).toEqual([seccomp, proc])
    expect(flags(report(LACKS.proc), facts())).toEqual([proc])
    expect(flags(report(LACKS.nothing), facts({ procMasked: false }))).toEqual([seccomp])
  })

  it('are others as root', () => {
    const root = { root: true }
    expect(flags(report(LACKS.nothing), facts(root))).toEqual(['--cap-add SYS_ADMIN', seccomp])
    expect(flags(report(LACKS.pivot), facts(root))).toEqual([seccomp])
  })

  it('include AppArmor if it confines the process', () => {
    const appArmor = 'docker-default (enforce)'
    expect(flags(report(LACKS.proc), facts({ appArmor }))).toEqual([
      proc,
      '--security-opt apparmor=unconfined',
    ])
  })

  it('are none if the minimum is available', () => {
    expect(containerFlags(report({ own_uid: 'the zygote is not root' }, true), facts())).toEqual([])
  })
})
