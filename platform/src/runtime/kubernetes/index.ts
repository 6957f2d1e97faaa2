import type { Driver, TargetKey } from '@fp/scaler'
import { systemClock } from '@fp/scaler'
import { createInformer, createKubernetesDriver, KubernetesApi } from '@fp/scaler/kubernetes'
import { KubeConfig, type V1Pod } from '@kubernetes/client-node'
import type { Db } from 'mongodb'
import type { Logger } from 'pino'
import type { Leader } from '../../coordination/leader.ts'
import { LateBinding } from '../binding.ts'
import type { AppSpec, Runtime } from '../runtime.ts'
import { createAppPods } from './app-pods.ts'
import { checkApp } from './check.ts'
import { followClusterEvents } from './cluster-events.ts'
import { createRunnerProbe, withOwnersMessage, throwOwnersMessage } from './failures.ts'
import { LogStore } from './log-store.ts'
import { objectName, POD_PORT, poolLabels, ROLE_LABEL, TARGET_LABEL } from './names.ts'
import { createTargetObjects } from './objects.ts'
import { createPool } from './pool.ts'
import type { KubernetesSettings } from './settings.ts'
import { createSingletons } from './singletons.ts'
import { createObjectStore } from './store.ts'
import { createVolumes } from './volumes.ts'

export interface KubernetesRuntimeOptions {
  readonly kubeConfig: KubeConfig
  readonly settings: KubernetesSettings
  /** The platform's own database: logs of pods are kept there. */
  readonly db: Db
  /** The platform's key, from which those of pods are derived. */
  readonly secretKey: Buffer
  /** Runs work that must run in one replica only. */
  readonly leader: Leader
  readonly log: Logger
}

/** In a pod its service account, elsewhere KUBECONFIG as for kubectl. */
export function defaultKubeConfig(): KubeConfig {
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}

/** Runs apps as Deployments of a cluster, see docs/decisions/0020. Rejects when the cluster does not answer. */
export async function createKubernetesRuntime(options: KubernetesRuntimeOptions): Promise<Runtime> {
  const { kubeConfig, settings, secretKey, log } = options
  const binding = new LateBinding()
  const specOf = (key: TargetKey): Promise<AppSpec> => binding.specOf(key)
  await using started = new AsyncDisposableStack()
  const api = started.use(new KubernetesApi(kubeConfig))
  const store = createObjectStore(api, settings.namespace)
  const volumes = createVolumes({ api, store, settings, clock: systemClock })
  const objects = createTargetObjects({ store, settings, secretKey, volumes, specOf })
  const logs = new LogStore(options.db)
  await logs.createIndexes()
  const failed = (error: Error): void =>
    log.warn({ err: error }, 'a watch of the cluster broke off; trying again')

  const waiting = started.use(
    await createInformer<V1Pod>({
      api,
      path: store.path('pods'),
      labelSelector: `${ROLE_LABEL}=${poolLabels()[ROLE_LABEL]}`,
      clock: systemClock,
      changed: () => undefined,
      deleted: () => undefined,
      failed,
    }),
  )
  const pool = createPool({
    store,
    waiting: () => waiting.objects(),
    port: POD_PORT,
    secretKey,
    clock: systemClock,
    specOf,
    ownerReferenceOf: (key) => objects.ensure(key),
    log,
  })
  const appPods = createAppPods((key, failure) => binding.crashed(key, failure))
  const cluster = started.use(
    await createKubernetesDriver({
      kubeConfig,
      namespace: settings.namespace,
      targetLabel: TARGET_LABEL,
      port: POD_PORT,
      deploymentName: objectName,
      prepare: async (key) => void (await objects.ensure(key)),
      readiness: createRunnerProbe((pod) => pool.seenWaiting(pod)),
      spares: pool,
      onPod: appPods.seen,
      onDeploymentGone: (key) => objects.forget(key),
      onError: failed,
    }),
  )
  /** An app with a volume has one pod, also where the ingress has not looked the app up yet. */
  const allowed = async (key: TargetKey, replicas: number): Promise<number> =>
    replicas > 1 && (await specOf(key)).storage ? 1 : replicas
  const driver: Driver = {
    name: 'kubernetes',
    scale: async (key, replicas, scaling) =>
      cluster.scale(key, await allowed(key, replicas), scaling).catch(throwOwnersMessage),
    watch: (onChange) => cluster.watch((key, state) => onChange(key, withOwnersMessage(state))),
    isCurrent: () => cluster.isCurrent!(),
    probe: (key, endpoint, signal) => cluster.probe(key, endpoint, signal),
  }

  started.use(
    await followClusterEvents({
      api,
      store,
      failed,
      targetOfPod: appPods.targetOf,
      progress: (key, message) => binding.progress(key, message),
      evicted: (key, failure) => binding.crashed(key, failure),
    }),
  )

  const singletons = createSingletons({
    api,
    store,
    settings,
    secretKey,
    objects,
    logs,
    appPods,
    waiting,
    binding,
    clock: systemClock,
    failed,
    log,
  })
  const leading = started.use(new AsyncDisposableStack())

  const withoutStorage = await volumes.problem()
  const stack = started.move()
  return {
    capabilities: {
      appsOutlivePlatform: true,
      sharedByReplicas: true,
      appsOnThisMachine: false,
      appsOnLoopback: false,
      mustReplaceOldSecrets: false,
    },
    driver,
    logs: {
      tail: (appId, { lines }) => logs.tail(appId, lines),
      note: (appId, text) => logs.note(appId, text),
    },
    health: {
      notes: [
        withoutStorage
          ? `app storage: not available here: ${withoutStorage}. Apps keep their data in the database.`
          : `app storage: a volume of ${settings.storageSize} for each app that has it turned on`,
      ],
      problem: () => undefined,
      storageProblem: () => volumes.problem(),
      pids: () => ({}),
    },
    trial: {
      check: (spec, { signal }) => checkApp(spec, signal, { store, settings, pool, clock: systemClock, log }),
    },
    cleanup: {
      removeTarget: (key) => objects.remove(key),
      async removeApp(appId) {
        await objects.removeApp(appId)
        await logs.remove(appId)
      },
    },
    start(given) {
      binding.bind(given)
      for (const [name, run] of singletons) leading.use(options.leader.run(name, run))
    },
    databaseRestarted: () => undefined,
    close: () => stack.disposeAsync(),
  }
}
