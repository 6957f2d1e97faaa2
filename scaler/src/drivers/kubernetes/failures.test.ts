import type { V1ContainerStatus, V1Deployment, V1Pod, V1PodStatus } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import { deploymentFailure, podFailure } from './failures.ts'

const pod = (status: V1PodStatus): V1Pod => ({ metadata: { name: 'app-1' }, status })
/** The status of one container as the kubelet reports it. */
const container = (state: object, lastState: object = {}): V1ContainerStatus => ({
  name: 'app',
  image: 'app:1',
  imageID: '',
  ready: false,
  restartCount: 0,
  state: state,
  lastState: lastState,
})
const running = container({ running: { startedAt: '2026-01-01T00:00:00Z' } })
const waiting = (reason: string, message?: string, last = {}): V1ContainerStatus =>
  container({ waiting: { reason, ...(message ? { message } : {}) } }, last)
const ended = (exitCode: number, reason: string, message?: string): object => ({
  terminated: { exitCode, reason, ...(message ? { message } : {}) },
})
const of = (...containerStatuses: V1ContainerStatus[]): V1Pod => pod({ phase: 'Pending', containerStatuses })

describe('a pod', () => {
  test.each<[string, V1Pod]>([
    ['that nothing is known of', {}],
    [
      'that is being scheduled',
      pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False' }] }),
    ],
    [
      'whose scheduling waits for something else',
      pod({ conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
    ],
    ['that is being made', of(waiting('ContainerCreating'))],
    ['that runs', pod({ phase: 'Running', containerStatuses: [running] })],
    [
      'that runs again after a crash',
      of(container({ running: { startedAt: '2026-01-01T00:00:00Z' } }, ended(1, 'Error'))),
    ],
    [
      'whose first steps have ended well',
      pod({ initContainerStatuses: [container(ended(0, 'Completed'))], containerStatuses: [running] }),
    ],
    ['whose first steps are under way', pod({ initContainerStatuses: [running] })],
  ])('%s has not failed', (_, pod) => expect(podFailure(pod)).toBeUndefined())

  test.each(['Evicted', 'NodeShutdown', 'Terminated', 'UnexpectedAdmissionError'])(
    'was ended by its node: %s',
    (reason) => {
      expect(podFailure(pod({ phase: 'Failed', reason, message: 'The node was low on memory.' }))).toEqual({
        code: 'KUBERNETES_EVICTED',
        message: 'The pod was ended by its node: The node was low on memory.',
        details: { pod: 'app-1', reason },
      })
    },
  )

  test('that a node has ended without a message has the reason as its message', () => {
    expect(podFailure(pod({ phase: 'Failed', reason: 'NodeLost' }))?.message).toMatch('NodeLost')
  })

  test('fits on no node', () => {
    const message = '0/3 nodes are available: 3 Insufficient memory.'
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }]
    expect(podFailure(pod({ phase: 'Pending', conditions }))).toMatchObject({
      code: 'KUBERNETES_UNSCHEDULABLE',
      message: expect.stringContaining(message) as string,
    })
    const silent = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }]
    expect(podFailure(pod({ conditions: silent }))?.message).toMatch('gave no reason')
  })

  test.each(['ErrImagePull', 'ImagePullBackOff', 'ErrImageNeverPull', 'InvalidImageName'])(
    'does not get its image: %s',
    (reason) => {
      expect(podFailure(of(waiting(reason, 'manifest unknown')))).toEqual({
        code: 'KUBERNETES_IMAGE_NOT_PULLED',
        message: 'The image cannot be pulled: manifest unknown',
        details: { pod: 'app-1', reason },
      })
      expect(podFailure(of(waiting(reason)))?.message).toMatch(reason)
    },
  )

  test.each(['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError'])(
    'cannot be made of what it says: %s',
    (reason) => {
      expect(podFailure(of(waiting(reason, 'secret "x" not found')))).toEqual({
        code: 'KUBERNETES_NOT_CONFIGURED',
        message: 'The container cannot be created: secret "x" not found',
        details: { pod: 'app-1', reason },
      })
    },
  )

  test.each([
    ['has just', container(ended(128, 'StartError', 'exec: "/no": no such file or directory'))],
    [
      'is to be tried again',
      waiting(
        'CrashLoopBackOff',
        'back-off 10s',
        ended(128, 'StartError', 'exec: "/no": no such file or directory'),
      ),
    ],
  ])('has a command that does not exist: it %s', (_, status) => {
    expect(podFailure(of(status))).toEqual({
      code: 'KUBERNETES_NOT_CONFIGURED',
      message: 'The container cannot be started: exec: "/no": no such file or directory',
      details: { pod: 'app-1', reason: 'StartError' },
    })
  })

  test('exceeded its memory limit', () => {
    expect(podFailure(of(waiting('CrashLoopBackOff', 'back-off 10s', ended(137, 'OOMKilled'))))).toEqual({
      code: 'KUBERNETES_OUT_OF_MEMORY',
      message: 'The container used more than its memory and was ended.',
      details: { pod: 'app-1', reason: 'CrashLoopBackOff', exitCode: 137 },
    })
    expect(podFailure(of(container(ended(137, 'OOMKilled'))))?.details).toMatchObject({ reason: 'OOMKilled' })
  })

  test('crashed, with the last line of its termination message', () => {
    expect(podFailure(of(container(ended(1, 'Error', 'Traceback\nImportError: x\n'))))).toEqual({
      code: 'KUBERNETES_CRASHED',
      message: 'The container ended with exit code 1: ImportError: x',
      details: {
        pod: 'app-1',
        reason: 'Error',
        exitCode: 1,
        terminationMessage: 'Traceback\nImportError: x\n',
      },
    })
    expect(podFailure(of(container(ended(0, 'Completed'))))?.message).toBe(
      'The container ended with exit code 0.',
    )
  })

  test.each([
    ['its second container', { containerStatuses: [running, container(ended(2, 'Error'))] }],
    [
      'one that is to be there first',
      {
        initContainerStatuses: [
          container(ended(0, 'Completed')),
          waiting('CrashLoopBackOff', '', ended(2, 'Error')),
        ],
        containerStatuses: [waiting('PodInitializing')],
      },
    ],
  ])('crashed by %s', (_, status) => {
    expect(podFailure(pod(status))).toMatchObject({ code: 'KUBERNETES_CRASHED', details: { exitCode: 2 } })
  })
})

describe('a Deployment', () => {
  const refused = (message?: string, generations = [2, 2], status = 'True'): V1Deployment => ({
    metadata: { name: 'app', generation: generations[0]! },
    spec: { selector: {}, template: {} },
    status: {
      observedGeneration: generations[1]!,
      conditions: [
        { type: 'Available', status: 'False', reason: 'MinimumReplicasUnavailable' },
        { type: 'ReplicaFailure', status, reason: 'FailedCreate', ...(message ? { message } : {}) },
      ],
    },
  })
  const QUOTA =
    'pods "app-1" is forbidden: exceeded quota: team, requested: pods=1, used: pods=5, limited: pods=5'

  test('exceeds the quota', () => {
    expect(deploymentFailure(refused(QUOTA))).toEqual({
      code: 'KUBERNETES_QUOTA_EXCEEDED',
      message: `The namespace has no room for the pod: ${QUOTA}`,
      details: { reason: 'ExceededQuota' },
    })
  })

  test('has pods that are not allowed', () => {
    const message = 'pods "app-1" is forbidden: violates PodSecurity "restricted:latest"'
    expect(deploymentFailure(refused(message))).toEqual({
      code: 'KUBERNETES_NOT_CREATED',
      message: `The pod cannot be created: ${message}`,
      details: { reason: 'FailedCreate' },
    })
    expect(deploymentFailure(refused())?.message).toMatch('FailedCreate')
  })

  test('has not failed if its status is outdated, if the failure is over, or if it is new', () => {
    expect(deploymentFailure(refused(QUOTA, [3, 2]))).toBeUndefined()
    expect(deploymentFailure(refused(QUOTA, [2, 2], 'False'))).toBeUndefined()
    expect(deploymentFailure({ metadata: { name: 'app', generation: 1 } })).toBeUndefined()
  })
})
