import type {
  KubernetesObject,
  V1Deployment,
  V1OwnerReference,
  V1Pod,
  V1PodTemplateSpec,
  V1Service,
} from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import { createHash } from 'node:crypto'
import type { AppSpec } from '../runtime.ts'
import {
  checkLabels,
  objectName,
  poolLabels,
  POD_PORT,
  SOURCE_LABEL,
  STORAGE_LABEL,
  TARGET_LABEL,
  targetLabels,
  TEMPLATE_ANNOTATION,
} from './names.ts'
import { podSpec } from './pod-spec.ts'
import type { KubernetesSettings } from './settings.ts'

/** As in the embedded home: the uids from here on, one for each app. */
const FIRST_APP_UID = 200_000
/** Pods of the pool do not know their app yet: a uid by their name, from a range of its own. */
const FIRST_POOL_UID = 1_000_000
const POOL_UIDS = 1_000_000_000

/** No replicas: it is scaled once all that its pods need is there. */
export function deploymentOf(spec: AppSpec, settings: KubernetesSettings): V1Deployment {
  const { key } = spec
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: objectName(key),
      labels: targetLabels(key),
      annotations: { [TEMPLATE_ANNOTATION]: settingsHash(settings) },
    },
    spec: {
      replicas: 0,
      revisionHistoryLimit: 0,
      // Of pods with a volume there is one.
      ...(spec.storage ? { strategy: { type: 'Recreate' } } : {}),
      selector: { matchLabels: ownLabels(key) },
      template: podTemplateOf(spec, settings),
    },
  }
}

/** What becomes of the pods of a Deployment that was made with other settings. */
export function podTemplateOf(spec: AppSpec, settings: KubernetesSettings): V1PodTemplateSpec {
  const { key, sequence } = spec
  const secret = objectName(key)
  return {
    metadata: {
      labels: {
        ...targetLabels(key),
        ...ownLabels(key),
        ...(spec.storage ? { [STORAGE_LABEL]: spec.appId } : {}),
      },
    },
    spec: {
      ...podSpec(settings, {
        ...(isSentStartRequest(spec)
          ? { args: ['--wait', '--cold'], keySecret: secret }
          : { args: [], startRequestSecret: secret }),
        ...(spec.storage ? { storageOf: spec.appId } : {}),
        uid: FIRST_APP_UID + sequence,
        limits: spec.limits,
        restart: 'Always',
        readyPath: '/_fp/ready',
      }),
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { [TARGET_LABEL]: key } },
        },
      ],
    },
  }
}

/** Pods that were claimed from the pool are the target's too, but no ReplicaSet's. */
function ownLabels(key: TargetKey): Record<string, string> {
  return { [TARGET_LABEL]: key, [SOURCE_LABEL]: 'deployment' }
}

/** Changes with whatever the settings make of a pod. */
export function settingsHash(settings: KubernetesSettings): string {
  const pods = [
    podSpec(settings, {
      args: [],
      uid: 1,
      startRequestSecret: 'start-request',
      restart: 'Always',
      readyPath: '/',
    }),
    podSpec(settings, { args: [], uid: 1, keySecret: 'key', restart: 'Always', readyPath: '/' }),
    podSpec(settings, { args: [], uid: 1, keySecret: 'key', restart: 'Never', readyPath: '/' }),
  ]
  return createHash('sha256').update(JSON.stringify(pods)).digest('hex').slice(0, 16)
}

/** Whether something was made with these settings. */
export function isMadeWith(settings: KubernetesSettings): (object: KubernetesObject) => boolean {
  const hash = settingsHash(settings)
  return ({ metadata }) => metadata?.annotations?.[TEMPLATE_ANNOTATION] === hash
}

/** Assets are larger than Secrets may be: pods of such a target are sent what others mount. */
export function isSentStartRequest({ assets }: Pick<AppSpec, 'assets'>): boolean {
  return assets.length > 0
}

/** Headless: the front door asks pods themselves; it is there for EndpointSlices and for people. */
export function serviceOf(key: TargetKey, owner: V1OwnerReference): V1Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: objectName(key), labels: targetLabels(key), ownerReferences: [owner] },
    spec: {
      clusterIP: 'None',
      selector: { [TARGET_LABEL]: key },
      ports: [{ name: 'http', port: POD_PORT, targetPort: 'http' }],
    },
  }
}

export function poolPodOf(name: string, owner: V1OwnerReference, settings: KubernetesSettings): V1Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: poolLabels(),
      ownerReferences: [owner],
      annotations: { [TEMPLATE_ANNOTATION]: settingsHash(settings) },
    },
    spec: podSpec(settings, {
      args: ['--wait'],
      uid: FIRST_POOL_UID + (createHash('sha256').update(name).digest().readUInt32BE(0) % POOL_UIDS),
      keySecret: name,
      restart: 'Never',
      readyPath: '/_fp/alive',
    }),
  }
}

/** A pod that loads an app and ends: what it found is its termination message. */
export function checkPodOf(name: string, spec: AppSpec, settings: KubernetesSettings): V1Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: checkLabels(spec.appId) },
    spec: podSpec(settings, {
      args: [],
      uid: FIRST_APP_UID + spec.sequence,
      limits: spec.limits,
      startRequestSecret: name,
      restart: 'Never',
    }),
  }
}
