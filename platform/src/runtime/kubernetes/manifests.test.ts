import type { V1PodSpec } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import { checkPodOf, deploymentOf, poolPodOf, serviceOf, settingsHash } from './manifests.ts'
import { START_REQUEST_KEY } from './pod-spec.ts'
import { objectName, ROLE_LABEL, SOURCE_LABEL, STORAGE_LABEL, TARGET_LABEL } from './names.ts'
import { DEPLOYMENT_KIND, ownerReferenceOf } from './owners.ts'
import { checkSecretOf, poolSecretOf, secretOf } from './secrets.ts'
import type { KubernetesSettings } from './settings.ts'
import { assetOf, SETTINGS, specOf } from './test/specs.ts'

const SPEC = specOf('a1b2.3.14')
const OWNER = ownerReferenceOf({ metadata: { name: 'owner', uid: 'its uid' } }, DEPLOYMENT_KIND, true)

const WITH_ASSETS = { ...SPEC, assets: [assetOf('logo.png', Buffer.alloc(10))] }

const kinds: Record<string, (settings: KubernetesSettings) => V1PodSpec> = {
  'of a Deployment with assets': (settings) => deploymentOf(WITH_ASSETS, settings).spec!.template.spec!,
  'of a Deployment': (settings) => deploymentOf(SPEC, settings).spec!.template.spec!,
  'of the pool': (settings) => poolPodOf('pool-1', OWNER, settings).spec!,
  'of a check': (settings) => checkPodOf('check-1', SPEC, settings).spec!,
}

describe.each(Object.entries(kinds))('the isolation of a pod %s', (_name, make) => {
  const spec = make(SETTINGS)
  const [container, ...others] = spec.containers

  test('it has exactly one container', () => {
    expect(others).toEqual([])
    expect(spec).not.toHaveProperty('initContainers')
    expect(container).toMatchObject({ name: 'app', image: 'fp/runner:1.0' })
    expect(container).not.toHaveProperty('command')
  })

  test('no root, no capability, no way to get either', () => {
    expect(spec.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: expect.any(Number) as number,
      runAsGroup: spec.securityContext!.runAsUser,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(spec.securityContext!.runAsUser).toBeGreaterThanOrEqual(200_000)
    expect(container!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })

  test('no access to the node, no token of the cluster, no information about other pods', () => {
    expect(spec.automountServiceAccountToken).toBe(false)
    expect(spec.serviceAccountName).toBe('fp-app')
    expect(spec.enableServiceLinks).toBe(false)
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace', 'hostAliases']) {
      expect(spec).not.toHaveProperty(field)
    }
    for (const port of container!.ports!) expect(port).not.toHaveProperty('hostPort')
  })

  test('it can write only to two folders of limited size that are deleted with it', () => {
    const writable = container!.volumeMounts!.filter(({ readOnly }) => !readOnly)
    expect(writable.map(({ mountPath }) => mountPath).sort()).toEqual(['/app', '/tmp'])
    for (const { name } of writable) {
      const volume = spec.volumes!.find((one) => one.name === name)!
      expect(volume).toEqual({ name, emptyDir: { sizeLimit: expect.stringMatching(/^\d+Mi$/) as string } })
    }
    const rest = spec.volumes!.filter(({ emptyDir }) => !emptyDir)
    for (const volume of rest) expect(Object.keys(volume).sort()).toEqual(['name', 'secret'])
    expect(container!.volumeMounts).toHaveLength(spec.volumes!.length)
  })

  test('its memory is limited, and its processor if the admin limits it', () => {
    expect(container!.resources).toEqual({
      requests: { cpu: '50m', memory: '64Mi' },
      limits: { memory: '512Mi' },
    })
    const resources = { ...SETTINGS.resources, cpuLimit: '2' }
    expect(make({ ...SETTINGS, resources }).containers[0]!.resources!.limits).toEqual({
      cpu: '2',
      memory: '512Mi',
    })
  })

  test('kubelet gives it more time to stop than the runner takes', () => {
    const env = Object.fromEntries(container!.env!.map(({ name, value }) => [name, value]))
    const preStop = container!.lifecycle!.preStop!.sleep!.seconds
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(Number(env['FP_STOP_GRACE_S']) + preStop)
  })

  test('no code of an app runs before the network policies hold, unless the admin trusts all code', () => {
    const waits = (made: V1PodSpec): string[] => made.containers[0]!.args!.slice(-2)
    expect(waits(spec)).toEqual(['--network-policy-seconds', '10'])
    expect(waits(make({ ...SETTINGS, allowUnsandboxed: true }))).toEqual(['--network-policy-seconds', '0'])
  })

  test('the runtime is the one that the admin names', () => {
    expect(spec).not.toHaveProperty('runtimeClassName')
    expect(make({ ...SETTINGS, runtimeClass: 'gvisor' }).runtimeClassName).toBe('gvisor')
  })

  test('nothing kills an app because it is busy, or takes it out of service', () => {
    expect(container).not.toHaveProperty('livenessProbe')
    expect(container).not.toHaveProperty('readinessProbe')
  })
})

describe('a Deployment', () => {
  const deployment = deploymentOf(SPEC, SETTINGS)

  test('has no replicas until everything that they need exists', () => {
    expect(deployment.spec!.replicas).toBe(0)
  })

  test('selects its own pods, and none that were claimed from the pool', () => {
    const selected = { [TARGET_LABEL]: 'a1b2.3.14', [SOURCE_LABEL]: 'deployment' }
    expect(deployment.spec!.selector.matchLabels).toEqual(selected)
    expect(deployment.spec!.template.metadata!.labels).toMatchObject({ ...selected, [ROLE_LABEL]: 'app' })
  })

  test('spreads pods over the nodes, but allows them on one node', () => {
    expect(deployment.spec!.template.spec!.topologySpreadConstraints).toEqual([
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [TARGET_LABEL]: 'a1b2.3.14' } },
      },
    ])
  })

  test('restarts pods, with the start request mounted and a readiness probe of the runner', () => {
    const { spec } = deployment.spec!.template
    expect(spec!.restartPolicy).toBe('Always')
    expect(spec!.volumes).toContainEqual({
      name: 'start-request',
      secret: {
        secretName: objectName(SPEC.key),
        items: [{ key: 'order.json.gz', path: 'request.json.gz' }],
        defaultMode: 0o444,
      },
    })
    expect(spec!.containers[0]!.startupProbe!.httpGet).toEqual({ path: '/_fp/ready', port: 8000 })
    expect(spec!.containers[0]!.env!.map(({ name }) => name)).toEqual(['FP_STOP_GRACE_S'])
  })

  test('of an app with assets starts pods that wait longer than the platform may be down', () => {
    const { spec } = deploymentOf(WITH_ASSETS, SETTINGS).spec!.template
    const [container] = spec!.containers
    expect([spec!.restartPolicy, container!.args!.slice(0, -2)]).toEqual(['Always', ['--wait', '--cold']])
    expect(container!.env).toContainEqual({
      name: 'FP_POD_KEY',
      valueFrom: { secretKeyRef: { name: objectName(SPEC.key), key: 'key' } },
    })
    expect(spec!.volumes!.map(({ name }) => name)).toEqual(['tmp', 'app'])
    expect(container!.startupProbe).toMatchObject({
      httpGet: { path: '/_fp/ready', port: 8000 },
      failureThreshold: 3600,
    })
  })

  test('of an app with storage mounts its volume in one pod, beside the one that it replaces', () => {
    const { strategy, template } = deploymentOf({ ...SPEC, storage: true }, SETTINGS).spec!
    expect(strategy).toEqual({ type: 'Recreate' })
    expect(template.metadata!.labels).toMatchObject({ [STORAGE_LABEL]: 'a1b2' })
    const { volumes, containers, securityContext, affinity } = template.spec!
    expect(volumes).toContainEqual({
      name: 'storage',
      persistentVolumeClaim: { claimName: 'storage-a1b2' },
    })
    expect(containers[0]!.volumeMounts).toContainEqual({ name: 'storage', mountPath: '/data' })
    expect(securityContext).toMatchObject({ fsGroup: 200_007, fsGroupChangePolicy: 'OnRootMismatch' })
    expect(affinity!.podAffinity!.requiredDuringSchedulingIgnoredDuringExecution).toEqual([
      { labelSelector: { matchLabels: { [STORAGE_LABEL]: 'a1b2' } }, topologyKey: 'kubernetes.io/hostname' },
    ])
    expect(deployment.spec!.template.metadata!.labels).not.toHaveProperty([STORAGE_LABEL])
    expect(deployment.spec).not.toHaveProperty('strategy')
  })

  test('of an app with limits of its own has them, and never requests more than they allow', () => {
    const limits = { memoryBytes: 32 * 2 ** 20, cpus: 0.5, tmpBytes: 2 ** 30, startSeconds: 80 }
    const { containers, volumes } = deploymentOf({ ...SPEC, limits }, SETTINGS).spec!.template.spec!
    expect(containers[0]!.resources).toEqual({
      requests: { cpu: '50m', memory: '32Mi' },
      limits: { memory: '32Mi', cpu: '0.5' },
    })
    expect(volumes).toContainEqual({ name: 'tmp', emptyDir: { sizeLimit: '1024Mi' } })
    expect(containers[0]!.startupProbe!.failureThreshold).toBeGreaterThan(80)
    expect(settingsHash(SETTINGS)).toBe(
      deploymentOf({ ...SPEC, limits }, SETTINGS).metadata!.annotations!['fp.dev/template'],
    )
  })

  test('runs each app as a user of its own', () => {
    const uidOf = (sequence: number): number =>
      deploymentOf({ ...SPEC, sequence }, SETTINGS).spec!.template.spec!.securityContext!.runAsUser!
    expect([uidOf(1), uidOf(2)]).toEqual([200_001, 200_002])
  })
})

describe('a pod of the pool', () => {
  const pod = poolPodOf('pool-1', OWNER, SETTINGS)

  test('is never restarted after a claim', () => {
    expect(pod.spec!.restartPolicy).toBe('Never')
    expect(pod.spec!.containers[0]!.args!.slice(0, -2)).toEqual(['--wait'])
    expect(pod.spec!.containers[0]!.startupProbe!.httpGet!.path).toBe('/_fp/alive')
  })

  test('has its key from its Secret, not in its manifest, and no start request', () => {
    expect(pod.spec!.containers[0]!.env).toContainEqual({
      name: 'FP_POD_KEY',
      valueFrom: { secretKeyRef: { name: 'pool-1', key: 'key' } },
    })
    expect(pod.spec!.volumes!.map(({ name }) => name)).toEqual(['tmp', 'app'])
  })

  test('has a user id from its name, in a range that no app has', () => {
    const uidOf = (name: string): number => poolPodOf(name, OWNER, SETTINGS).spec!.securityContext!.runAsUser!
    const uids = Array.from({ length: 100 }, (_, index) => uidOf(`pool-${index}`))
    expect(new Set(uids).size).toBe(100)
    for (const uid of uids) {
      expect(uid).toBeGreaterThanOrEqual(1_000_000)
      expect(uid).toBeLessThan(2 ** 31)
    }
  })

  test('has a controller, so that a drain of its node deletes it', () => {
    expect(pod.metadata!.ownerReferences).toMatchObject([{ uid: 'its uid', controller: true }])
  })
})

describe('Secrets', () => {
  const startRequest = Buffer.from('a start request')
  test('of a start request are immutable, and go with their owner', () => {
    for (const secret of [
      secretOf(SPEC.key, { startRequest }, OWNER),
      checkSecretOf('check-1', SPEC, startRequest, OWNER),
    ]) {
      expect(secret).toMatchObject({
        immutable: true,
        data: { [START_REQUEST_KEY]: startRequest.toString('base64') },
      })
      expect(secret.metadata!.ownerReferences).toEqual([OWNER])
    }
  })
  test('of a key are immutable, and go with the pool', () => {
    const secret = poolSecretOf('pool-1', 'a key', OWNER)
    expect(secret).toMatchObject({ immutable: true, stringData: { key: 'a key' } })
    expect(secret.metadata!.ownerReferences).toEqual([OWNER])
  })
})

test('a Service is headless, selects every pod of the target and goes with its owner', () => {
  const { spec, metadata } = serviceOf(SPEC.key, OWNER)
  expect(spec).toMatchObject({ clusterIP: 'None', selector: { [TARGET_LABEL]: SPEC.key } })
  expect(spec!.ports).toMatchObject([{ port: 8000 }])
  expect(metadata!.ownerReferences).toEqual([OWNER])
})

test('an owner is named by its uid, and its end waits for nobody', () => {
  expect(OWNER).toEqual({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: 'owner',
    uid: 'its uid',
    controller: true,
    blockOwnerDeletion: false,
  })
})

describe('the hash of the settings', () => {
  const { resources } = SETTINGS
  const hash = settingsHash(SETTINGS)
  test.each<[string, Partial<KubernetesSettings>]>([
    ['the image', { runnerImage: 'fp/runner:2.0' }],
    ['the runtime', { runtimeClass: 'gvisor' }],
    ['the memory', { resources: { ...resources, memoryLimit: '1Gi' } }],
    ['the request of memory', { resources: { ...resources, memoryRequest: '128Mi' } }],
    ['the processor', { resources: { ...resources, cpuLimit: '1' } }],
    ['its request', { resources: { ...resources, cpuRequest: '1m' } }],
  ])('changes with %s', (_what, change) => {
    expect(settingsHash({ ...SETTINGS, ...change })).not.toBe(hash)
  })
  test('does not change with settings that do not affect pods', () => {
    expect(settingsHash({ ...SETTINGS, poolSize: 9 })).toBe(hash)
    expect(hash).toMatch(/^[0-9a-f]{16}$/)
  })
})

test('Kubernetes accepts the names and labels', () => {
  expect(objectName(SPEC.key)).toBe('app-a1b2-3-14')
  expect(() => deploymentOf({ ...SPEC, key: 'nonsense' }, SETTINGS)).toThrow('not a target key')
})
