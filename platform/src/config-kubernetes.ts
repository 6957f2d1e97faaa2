import { DEFAULT_LIMITS } from './runtime/limits.ts'
import { mebibytes } from './runtime/kubernetes/pod-limits.ts'
import type { KubernetesSettings } from './runtime/kubernetes/settings.ts'
import { amountOf, SETTINGS, type Environment, type Setting } from './settings.ts'

/** Required settings: without them replicas could not share one installation, or no app could run. */
const NEEDED = ['FP_RUNNER_IMAGE', 'MONGODB_URI', 'FP_SECRET_KEY']

/** The defaults. A pod requests little, as it is one of many that are mostly idle. */
const CPU_REQUEST = '50m'
const MEMORY_REQUEST = '64Mi'
const MEMORY_LIMIT = mebibytes(DEFAULT_LIMITS.memoryBytes)

/** Reads the settings for Kubernetes. `read` parses one setting and adds to `problems` if it is wrong. */
export function readKubernetes(
  env: Environment,
  read: <T>(name: string, setting: Setting<T>) => T | undefined,
  problems: string[],
  storageMb: number,
): KubernetesSettings {
  for (const name of NEEDED) {
    if (!env[name]?.trim()) problems.push(`${name} is not set: FP_RUNTIME=kubernetes needs it`)
  }
  /** Reads a resource request. Kubernetes refuses every pod that requests more than its limit. */
  const request = (name: string, setting: Setting<string>, fallback: string, of: Limit): string => {
    const asked = read(name, setting)
    const limit = of.value
    if (asked === undefined) {
      return limit !== undefined && amountOf(limit) < amountOf(fallback) ? limit : fallback
    }
    if (limit !== undefined && amountOf(asked) > amountOf(limit))
      problems.push(`${name} is "${asked}": set no more than ${of.name}, which is "${limit}"`)
    return asked
  }
  const cpuLimit = read('FP_APP_CPU_LIMIT', SETTINGS.cpu)
  const memoryLimit = read('FP_APP_MEMORY', SETTINGS.memory) ?? MEMORY_LIMIT
  const cpu = { name: 'FP_APP_CPU_LIMIT', value: cpuLimit }
  const memory = { name: 'FP_APP_MEMORY', value: memoryLimit }
  return {
    namespace: read('FP_KUBE_NAMESPACE', SETTINGS.namespace) ?? 'fp-apps',
    runnerImage: read('FP_RUNNER_IMAGE', SETTINGS.image) ?? '',
    maxReplicas: read('FP_APP_MAX_REPLICAS', SETTINGS.replicas) ?? 1,
    poolSize: read('FP_POOL_SIZE', SETTINGS.poolSize) ?? 3,
    runtimeClass: read('FP_RUNTIME_CLASS', SETTINGS.kubernetesName),
    allowUnsandboxed: read('FP_ALLOW_UNSANDBOXED', SETTINGS.flag) ?? false,
    mongodbHost: read('FP_APP_MONGODB_HOST', SETTINGS.hostAndPort),
    storageClass: read('FP_STORAGE_CLASS', SETTINGS.kubernetesName),
    storageSize: `${storageMb}Mi`,
    resources: {
      cpuRequest: request('FP_APP_CPU_REQUEST', SETTINGS.cpu, CPU_REQUEST, cpu),
      cpuLimit,
      memoryRequest: request('FP_APP_MEMORY_REQUEST', SETTINGS.memory, MEMORY_REQUEST, memory),
      memoryLimit,
    },
  }
}

interface Limit {
  readonly name: string
  readonly value: string | undefined
}
