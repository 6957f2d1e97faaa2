import type { ModuleDeps } from '../src/modules/module.ts'

type ModulesRuntime = ModuleDeps['runtime']

/** What the modules ask of a runtime, where no app runs; by default with the capabilities of the local one. */
export function fakeRuntime(
  parts: Partial<Omit<ModulesRuntime, 'capabilities'>> & {
    readonly capabilities?: Partial<ModulesRuntime['capabilities']>
  } = {},
): ModulesRuntime {
  return {
    health: { storageProblem: () => undefined },
    logs: { tail: async () => [], note: async () => undefined },
    trial: { check: async () => ({ ok: true }) },
    cleanup: { removeApp: async () => undefined },
    ...parts,
    capabilities: {
      appsOutlivePlatform: false,
      sharedByReplicas: false,
      appsOnThisMachine: true,
      appsOnLoopback: false,
      mustReplaceOldSecrets: true,
      ...parts.capabilities,
    },
  }
}

/** The same with the capabilities of the Kubernetes runtime. */
export function fakeClusterRuntime(): ModulesRuntime {
  return fakeRuntime({
    capabilities: {
      appsOutlivePlatform: true,
      sharedByReplicas: true,
      appsOnThisMachine: false,
      mustReplaceOldSecrets: false,
    },
  })
}
