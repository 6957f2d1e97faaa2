import type { Driver, TargetKey } from '@fp/scaler'
import { systemClock } from '@fp/scaler'
import {
  createInformer,
  createKubernetesDriver,
  isPodOver,
  KubernetesApi,
  type Informer,
} from '@fp/scaler/kubernetes'
import { KubeConfig, type KubernetesObject, type V1Pod } from '@kubernetes/client-node'
import type { Db } from 'mongodb'
import type { Logger } from 'pino'
import type { Leader } from '../../coordination/leader.ts'
import { LateBinding } from '../binding.ts'
import type { AppSpec, Runtime } from '../runtime.ts'
import { checkApp } from './check.ts'
import { followClusterEvents } from './cluster-events.ts'
import { createRunnerProbe, withOwnersMessage, throwOwnersMessage, unaskedEnd } from './failures.ts'
import { createLogCollector, type LogCollector } from './log-collector.ts'
import { LogStore } from './log-store.ts'
import { cameFromPool, objectName, POD_PORT, poolLabels, ROLE_LABEL, TARGET_LABEL } from './names.ts'
import { createTargetObjects } from './objects.ts'
import { createPool } from './pool.ts'
import { reconcile } from './reconcile.ts'
import { keepPoolFilled } from './refill.ts'
import type { KubernetesSettings } from './settings.ts'
import { createObjectStore, type Kind } from './store.ts'
import { createVolumes } from './volumes.ts'

export interface KubernetesRuntimeOptions {
  readonly kubeConfig: KubeConfig
  readonly settings: KubernetesSettings
  /** The platform's own database: logs of pods are kept there. */
  readonly db: Db
  /** From which the keys of pods are made. */
  readonly secretKey: Buffer
  /** Runs what must run at one replica only. */
  readonly leader: Leader
  readonly log: Logger
}

/** In a pod: its service account. Elsewhere: KUBECONFIG, as kubectl has it. */
export function defaultKubeConfig(): KubeConfig {
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}

/** Apps as Deployments of a cluster, see docs/decisions/0020. Rejects when the cluster cannot be asked. */
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
  const failed = (error: Error): void => log.warn({ err: error }, 'lost sight of the cluster; trying again')

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
    ownerOf: (key) => objects.ensure(key),
    log,
  })
  /** The pods of apps, by uid: whoever comes to lead reads the logs of them all. */
  const appPods = new Map<string, V1Pod>()
  let collector: LogCollector | undefined
  function podSeen(pod: V1Pod, gone: boolean): void {
    const before = appPods.get(pod.metadata!.uid!)
    // Its end is news where it was seen without: not at the start, of what ended long ago.
    const end = before && !unaskedEnd(before) ? unaskedEnd(pod) : undefined
    if (end) binding.crashed(pod.metadata!.labels![TARGET_LABEL]!, end)
    if (gone) appPods.delete(pod.metadata!.uid!)
    else appPods.set(pod.metadata!.uid!, pod)
    if (gone) collector?.gone(pod)
    else collector?.seen(pod)
  }
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
      onPod: podSeen,
      onDeploymentGone: (key) => objects.forget(key),
      onError: failed,
    }),
  )
  /** Of pods with a volume there is one, also where the front door has not looked the app up yet. */
  const allowed = async (key: TargetKey, replicas: number): Promise<number> =>
    replicas > 1 && (await specOf(key)).storage ? 1 : replicas
  const driver: Driver = {
    name: 'kubernetes',
    scale: async (key, replicas, scaling) =>
      cluster.scale(key, await allowed(key, replicas), scaling).catch(throwOwnersMessage),
    watch: (onChange) => cluster.watch((key, state) => onChange(key, withOwnersMessage(state))),
  }

  started.use(
    await followClusterEvents({
      api,
      store,
      failed,
      targetOfPod: (name) =>
        [...appPods.values()].find(({ metadata }) => metadata!.name === name)?.metadata!.labels![
          TARGET_LABEL
        ],
      progress: (key, message) => binding.progress(key, message),
      evicted: (key, failure) => binding.crashed(key, failure),
    }),
  )

  const follow = (kind: Kind, deleted: () => void): Promise<Informer<KubernetesObject>> =>
    createInformer<KubernetesObject>({
      api,
      path: store.path(kind),
      labelSelector: TARGET_LABEL,
      clock: systemClock,
      changed: () => undefined,
      deleted,
      failed,
    })

  /**
   * One that came from the pool never runs again. It would be there, and its failure be told in the place of any later
   * one's, until its app's next version.
   */
  function removeIfOver(pod: V1Pod): void {
    if (!isPodOver(pod) || !cameFromPool(pod)) return
    const { name = '' } = pod.metadata!
    store
      .remove('pods', name)
      .catch((error: unknown) => log.warn({ err: error, pod: name }, 'a pod that is over was not deleted'))
  }

  async function collectLogs(signal: AbortSignal): Promise<void> {
    await using collecting = createLogCollector({
      api,
      store,
      logs,
      clock: systemClock,
      onRead: removeIfOver,
      log,
    })
    collector = collecting
    for (const pod of appPods.values()) collecting.seen(pod)
    try {
      await aborted(signal)
    } finally {
      collector = undefined
    }
  }
  const refilling = { store, settings, secretKey, pods: waiting, clock: systemClock, log }
  const liveTargets = (): Promise<readonly TargetKey[]> => binding.liveTargets()
  const reconciling = { store, settings, objects, clock: systemClock, follow, liveTargets, specOf, log }
  const leading = started.use(new AsyncDisposableStack())

  const withoutStorage = await volumes.problem()
  const stack = started.move()
  return {
    capabilities: {
      appsOutlivePlatform: true,
      sharedByReplicas: true,
      appsOnThisMachine: false,
      appsOnLoopback: false,
      appsSharedMemoryOnce: false,
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
      leading.use(options.leader.run('log collector', collectLogs))
      leading.use(options.leader.run('warm pool', (signal) => keepPoolFilled(refilling, signal)))
      leading.use(options.leader.run('reconciler', (signal) => reconcile(reconciling, signal)))
    },
    databaseRestarted: () => undefined,
    close: () => stack.disposeAsync(),
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
