import type { Driver, TargetKey } from '@fp/scaler'
import { createKubernetesDriver, KubernetesApi } from '@fp/scaler/kubernetes'
import { KubeConfig } from '@kubernetes/client-node'
import type { Logger } from 'pino'
import type { AppSpec, Runtime } from '../runtime.ts'
import { checkInPod } from './check.ts'
import { askRunner, inOwnersWords } from './failures.ts'
import { objectName, POD_PORT, TARGET_LABEL } from './names.ts'
import { createTargetObjects } from './objects.ts'
import type { KubernetesSettings } from './settings.ts'
import { createObjectStore } from './store.ts'

export interface KubernetesRuntimeOptions {
  readonly settings: KubernetesSettings
  specOf(key: TargetKey): Promise<AppSpec>
  readonly log: Logger
}

/** Apps as Deployments of a cluster, see docs/decisions/0020. Rejects when the cluster cannot be asked. */
export async function createKubernetesRuntime(options: KubernetesRuntimeOptions): Promise<Runtime> {
  const { settings, log } = options
  await using started = new AsyncDisposableStack()
  // In a pod: its service account. Elsewhere: KUBECONFIG, as kubectl has it.
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromDefault()
  const api = started.use(new KubernetesApi(kubeConfig))
  const store = createObjectStore(api, settings.namespace)
  const objects = createTargetObjects({ store, settings, specOf: options.specOf })
  const cluster = started.use(
    await createKubernetesDriver({
      kubeConfig,
      namespace: settings.namespace,
      targetLabel: TARGET_LABEL,
      port: POD_PORT,
      deploymentName: objectName,
      prepare: async (key) => void (await objects.ensure(key)),
      readiness: askRunner,
      onError: (error) => log.warn({ err: error }, 'lost sight of the cluster; trying again'),
    }),
  )
  const driver: Driver = {
    name: 'kubernetes',
    scale: (key, replicas, scaling) => cluster.scale(key, replicas, scaling),
    watch: (onChange) => cluster.watch((key, state) => onChange(key, inOwnersWords(state))),
  }

  const stack = started.move()
  return {
    driver,
    notes: [],
    problem: () => undefined,
    check: (spec, { signal }) => checkInPod(spec, { store, settings, signal }),
    logs: async () => [],
    retired: (key) => objects.remove(key),
    remove: (appId) => objects.removeApp(appId),
    close: () => stack.disposeAsync(),
  }
}
