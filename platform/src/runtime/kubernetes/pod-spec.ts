import type { V1Affinity, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node'
import type { AppLimits } from '../limits.ts'
import { STORAGE_DIR } from '../runtime.ts'
import { podLimits } from './pod-limits.ts'
import { claimName, POD_PORT, STORAGE_LABEL } from './names.ts'
import type { KubernetesSettings } from './settings.ts'

/** What a stopping pod may take to answer what it has; kubelet waits a little longer before it kills. */
const STOP_GRACE_S = 30
const KILL_AFTER_S = STOP_GRACE_S + 5
/** Before a pod is told to stop: whoever still knows it as ready has time to hear that it is not. */
const PRE_STOP_S = 1
/**
 * Seconds until a pod must have answered ready that is sent its start request first: while no platform runs it waits, and
 * must not be started again for that.
 */
const START_REQUEST_SECONDS = 3600

/** Until the cluster enforces its NetworkPolicies for a new pod, s. It took well below a second in trials. */
const NETWORK_POLICY_S = 10
/** Where the runner reads its start request (pod.py). */
const START_REQUEST_DIR = '/fp/start'
const START_REQUEST_FILE = 'request.json.gz'
/** Of the start request in its Secret. Secrets outlive releases of the platform, so this name must stay. */
export const START_REQUEST_KEY = 'order.json.gz'

/** For files and assets: 20.5 MB at most, in whole blocks. */
const APP_LIMIT = '32Mi'

export interface PodKind {
  readonly args: readonly string[]
  readonly uid: number
  /** A Secret that holds the start request. */
  readonly startRequestSecret?: string
  /** The app whose volume it mounts. */
  readonly storageOf?: string
  /** A Secret that holds the pod's key. */
  readonly keySecret?: string
  readonly restart: 'Always' | 'Never'
  /** Where the app's limits differ from the settings. */
  readonly limits?: Partial<AppLimits>
  /** What kubelet asks until it calls the pod ready. */
  readonly readyPath?: string
}

/**
 * The isolation of an app: no root, no rights, nothing to write to but two folders that end with the pod, no token of the
 * cluster's, limited memory. Kubernetes' own "restricted" standard and more.
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
      // The volume's files are the app's user's, and not looked through each time.
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
        // Started once, ready for good: an app that is busy for a while is not to be taken out of service.
        ...(kind.readyPath
          ? {
              startupProbe: {
                httpGet: { path: kind.readyPath, port: POD_PORT },
                periodSeconds: 1,
                // The port is open before anybody answers: who waits has the answer at once, and the events no failed probe.
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
 * While a deploy replaces an app's pod, the old and the new one have the volume at once: on one node, whose one kernel keeps
 * their locks. A volume of one node could not be had on another anyway.
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
