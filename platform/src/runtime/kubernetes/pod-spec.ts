import type { V1Affinity, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node'
import type { AppLimits } from '../limits.ts'
import { STORAGE_DIR } from '../runtime.ts'
import { podLimits } from './pod-limits.ts'
import { claimName, POD_PORT, STORAGE_LABEL } from './names.ts'
import type { KubernetesSettings } from './settings.ts'

/** Seconds for a stopping pod to finish its requests. kubelet waits a little longer before it kills. */
const STOP_GRACE_S = 30
const KILL_AFTER_S = STOP_GRACE_S + 5
/** Seconds between the end of readiness and the stop, so that replicas which still send requests learn of it. */
const PRE_STOP_S = 1
/**
 * Seconds until a pod that is sent its start request must be ready. It waits while no platform runs, and kubelet must not
 * restart it for that.
 */
const START_REQUEST_SECONDS = 3600

/** Seconds for the cluster to enforce its NetworkPolicies for a new pod. It took well below a second in trials. */
const NETWORK_POLICY_S = 10
/** Where the runner reads its start request (pod.py). */
const START_REQUEST_DIR = '/fp/start'
const START_REQUEST_FILE = 'request.json.gz'
/** The name of the start request in its Secret. Secrets outlive releases of the platform, so it must not change. */
export const START_REQUEST_KEY = 'order.json.gz'

/** For files and assets, which have 20.5 MB at most, in whole blocks. */
const APP_LIMIT = '32Mi'

export interface PodKind {
  readonly args: readonly string[]
  readonly uid: number
  /** The Secret with the start request. */
  readonly startRequestSecret?: string
  /** The app whose volume it mounts. */
  readonly storageOf?: string
  /** The Secret with the pod's key. */
  readonly keySecret?: string
  readonly restart: 'Always' | 'Never'
  /** Where the app's limits differ from the settings. */
  readonly limits?: Partial<AppLimits>
  /** The path that kubelet requests until the pod is ready. */
  readonly readyPath?: string
}

/**
 * The isolation of an app: no root, no capabilities, only two writable folders, which end with the pod, no token for the
 * cluster, limited memory. This is Kubernetes' "restricted" standard and more.
 */
export function podSpec(settings: KubernetesSettings, kind: PodKind): V1PodSpec {
  const { runtimeClass } = settings
  const { resources, tmpSize, startDeadline } = podLimits(settings.resources, kind.limits ?? {})
  const volumes: V1Volume[] = [
    { name: 'tmp', emptyDir: { sizeLimit: tmpSize } },
    { name: 'app', emptyDir: { sizeLimit: APP_LIMIT } },
  ]
  const mounts: V1VolumeMount[] = [
    { name: 'tmp', mountPath: '/tmp' },
    { name: 'app', mountPath: '/app' },
  ]
  if (kind.startRequestSecret) {
    const items = [{ key: START_REQUEST_KEY, path: START_REQUEST_FILE }]
    const secret = { secretName: kind.startRequestSecret, items, defaultMode: 0o444 }
    volumes.push({ name: 'start-request', secret })
    mounts.push({ name: 'start-request', mountPath: START_REQUEST_DIR, readOnly: true })
  }
  if (kind.storageOf) {
    volumes.push({ name: 'storage', persistentVolumeClaim: { claimName: claimName(kind.storageOf) } })
    mounts.push({ name: 'storage', mountPath: STORAGE_DIR })
  }
  return {
    restartPolicy: kind.restart,
    serviceAccountName: 'fp-app',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: KILL_AFTER_S,
    ...(runtimeClass ? { runtimeClassName: runtimeClass } : {}),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: kind.uid,
      runAsGroup: kind.uid,
      // The volume's files belong to the app's user. kubelet does not check each file at every start.
      ...(kind.storageOf ? { fsGroup: kind.uid, fsGroupChangePolicy: 'OnRootMismatch' } : {}),
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'app',
        image: settings.runnerImage,
        imagePullPolicy: 'IfNotPresent',
        // Some network plugins start a pod before they enforce its policies: no code of an app runs until they do. An
        // argument, because a runner of another release that does not know it refuses to start.
        args: [
          ...kind.args,
          '--network-policy-seconds',
          String(settings.allowUnsandboxed ? 0 : NETWORK_POLICY_S),
        ],
        ports: [{ name: 'http', containerPort: POD_PORT }],
        env: [
          { name: 'FP_STOP_GRACE_S', value: String(STOP_GRACE_S) },
          ...(kind.keySecret
            ? [{ name: 'FP_POD_KEY', valueFrom: { secretKeyRef: { name: kind.keySecret, key: 'key' } } }]
            : []),
        ],
        resources,
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: mounts,
        lifecycle: { preStop: { sleep: { seconds: PRE_STOP_S } } },
        // A startup probe only: an app that is busy for a while stays in service.
        ...(kind.readyPath
          ? {
              startupProbe: {
                httpGet: { path: kind.readyPath, port: POD_PORT },
                periodSeconds: 1,
                // The port accepts before the app answers, so a long timeout gets the answer at once and no probe fails.
                timeoutSeconds: 5,
                failureThreshold:
                  kind.keySecret && kind.restart === 'Always' ? START_REQUEST_SECONDS : startDeadline,
              },
            }
          : {}),
      },
    ],
    volumes,
    ...(kind.storageOf ? { affinity: besideOthersOf(kind.storageOf) } : {}),
  }
}

/**
 * While a deployment replaces an app's pod, the old and the new pod mount the volume at once. They must run on one node,
 * whose kernel keeps their locks valid; a ReadWriteOnce volume allows no other node anyway.
 */
function besideOthersOf(appId: string): V1Affinity {
  const labelSelector = { matchLabels: { [STORAGE_LABEL]: appId } }
  return {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector, topologyKey: 'kubernetes.io/hostname' },
      ],
    },
  }
}
