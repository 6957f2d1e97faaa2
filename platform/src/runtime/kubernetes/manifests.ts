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
import { uidOf, type AppSpec } from '../runtime.ts'
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

/** The uids of pods of the pool, which have no app yet: by the pod's name, from a range of their own. */
const FIRST_POOL_UID = 1_000_000
const POOL_UIDS = 1_000_000_000

/** Without replicas: the driver scales it once everything exists that its pods need. */
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
      // An app with a volume has one pod.
      ...(spec.storage ? { strategy: { type: 'Recreate' } } : {}),
      selector: { matchLabels: ownLabels(key) },
      template: podTemplateOf(spec, settings),
    },
  }
}

/** The template of a Deployment's pods. */
export function podTemplateOf(spec: AppSpec, settings: KubernetesSettings): V1PodTemplateSpec {
  const { key } = spec
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
        uid: uidOf(spec),
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

/** The labels of pods of the Deployment, as opposed to pods that the target claimed from the pool. */
function ownLabels(key: TargetKey): Record<string, string> {
  return { [TARGET_LABEL]: key, [SOURCE_LABEL]: 'deployment' }
}

/** A hash of everything that the settings decide about pods. */
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

/** Tells whether an object was made with these settings. */
export function isMadeWith(settings: KubernetesSettings): (object: KubernetesObject) => boolean {
  const hash = settingsHash(settings)
  return ({ metadata }) => metadata?.annotations?.[TEMPLATE_ANNOTATION] === hash
}

/** Whether pods are sent their start request. Others mount it, but assets do not fit into a Secret. */
export function isSentStartRequest({ assets }: Pick<AppSpec, 'assets'>): boolean {
  return assets.length > 0
}

/** A headless Service: the ingress uses pod addresses. It gives EndpointSlices, and people can use it. */
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

/** A pod that loads an app and ends. Its termination message is the result. */
export function checkPodOf(name: string, spec: AppSpec, settings: KubernetesSettings): V1Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: checkLabels(spec.appId) },
    spec: podSpec(settings, {
      args: [],
      uid: uidOf(spec),
      limits: spec.limits,
      startRequestSecret: name,
      restart: 'Never',
    }),
  }
}
