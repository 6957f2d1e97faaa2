import type { Failure } from '@fp/scaler'
import { KubernetesApiError, podFailure, type KubernetesFailureCode } from '@fp/scaler/kubernetes'
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import {
  asFailure,
  withOwnersMessage,
  throwOwnersMessage,
  parseReport,
  refusalOf,
  unaskedEnd,
} from './failures.ts'

const REPORT = {
  code: 'FP_APP_IMPORT_FAILED',
  message: "No module named 'numpy'",
  traceback: 'Traceback …',
  file: 'app.py',
  line: 3,
}
const said = (failure: Failure): Failure => withOwnersMessage({ ready: [], failure }).failure!

/** A container that ended, as the driver reports it. */
function crashed(
  terminated: Partial<NonNullable<NonNullable<V1ContainerStatus['state']>['terminated']>>,
): Failure {
  const container = { name: 'app', image: '', imageID: '', ready: false, restartCount: 0 }
  const pod: V1Pod = {
    metadata: { name: 'app-a-1-0-x' },
    status: {
      containerStatuses: [
        { ...container, state: { terminated: { exitCode: 1, reason: 'Error', ...terminated } } },
      ],
    },
  }
  return podFailure(pod)!
}

describe("the driver's failures as messages for owners", () => {
  const CODES: Record<KubernetesFailureCode, [code: string, words: string, hidden: boolean]> = {
    KUBERNETES_CRASHED: ['FP_APP_CRASHED', 'The app ended itself with exit code 3.', true],
    KUBERNETES_OUT_OF_MEMORY: [
      'FP_APP_OUT_OF_MEMORY',
      'The app used more than its memory and was ended.',
      true,
    ],
    KUBERNETES_IMAGE_NOT_PULLED: ['FP_CLUSTER_IMAGE', 'tell its admin', false],
    KUBERNETES_NOT_CONFIGURED: ['FP_CLUSTER_POD', 'tell its admin', false],
    KUBERNETES_UNSCHEDULABLE: ['FP_CLUSTER_FULL', 'no room for the app. Try again later', false],
    KUBERNETES_QUOTA_EXCEEDED: ['FP_CLUSTER_FULL', 'no room for the app. Put others to sleep', false],
    KUBERNETES_NOT_CREATED: ['FP_CLUSTER_POD', 'tell its admin', false],
    KUBERNETES_EVICTED: ['FP_APP_EVICTED', 'the next request starts it again', false],
    KUBERNETES_NOT_READY: ['FP_APP_CRASHED', 'in the words of the cluster', false],
  }
  test.each(Object.entries(CODES))('%s', (code, [owners, words, hidden]) => {
    const message = 'in the words of the cluster'
    const failure = said({ code, message, details: { reason: 'Error', exitCode: 3 } })
    expect(failure).toMatchObject({
      code: owners,
      message: expect.stringContaining(words) as string,
      details: { code: owners, message: failure.message, traceback: null, file: null, line: null },
    })
    expect(failure.message.includes(message)).toBe(!hidden)
  })

  test('an unknown failure keeps its message', () => {
    const failure = said({ code: 'FP_CLUSTER_POD', message: 'The pod ended.' })
    expect(failure).toMatchObject({ code: 'FP_CLUSTER_POD', message: 'The pod ended.' })
  })

  test('the runner reported the reason before it ended', () => {
    expect(said(crashed({ message: JSON.stringify(REPORT) }))).toEqual(asFailure(REPORT))
  })

  test('the runner’s own report stays as it is', () => {
    expect(said(asFailure(REPORT))).toEqual(asFailure(REPORT))
    const plain = { ...REPORT, traceback: null }
    expect(said(asFailure(plain))).toEqual(asFailure(plain))
  })

  test.each([
    'Segmentation fault',
    '{"code":"FP_APP_CRASHED"',
    '{"ok":true,"kind":"fastapi"}',
    '{"code":5,"message":"x"}',
    'null',
    '[]',
    '"text"',
    '',
  ])('last words that are no report say nothing: %s', (message) => {
    expect(said(crashed({ message, exitCode: 139 }))).toMatchObject({
      code: 'FP_APP_CRASHED',
      message: 'The app ended itself with exit code 139.',
    })
  })

  test('the kernel ended the container before the runner could report it', () => {
    expect(said(crashed({ reason: 'OOMKilled', exitCode: 137 }))).toMatchObject({
      code: 'FP_APP_OUT_OF_MEMORY',
    })
  })

  test('the state of a healthy target is unchanged', () => {
    const state = { ready: [], phases: [{ name: 'ready', at: 5 }] }
    expect(withOwnersMessage(state)).toBe(state)
  })
})

describe('a report', () => {
  test('is read field by field, and invalid fields are left out', () => {
    expect(parseReport(JSON.stringify(REPORT))).toEqual(REPORT)
    const nonsense = { ...REPORT, traceback: '', file: 5, line: 'three', more: { secrets: true } }
    expect(parseReport(JSON.stringify(nonsense))).toEqual({
      code: REPORT.code,
      message: REPORT.message,
      traceback: null,
      file: null,
      line: null,
    })
  })
  test.each(['', 'text', '{', 'null', '5', '[]', '{}', '{"code":"X"}', '{"message":"x"}'])(
    '%j is none',
    (text) => {
      expect(parseReport(text)).toBeUndefined()
    },
  )
})

describe('what the cluster refuses', () => {
  const secret = 'pods "app-a-1-0" at 10.0.0.1:6443'
  test.each([
    [0, 'does not answer'],
    [403, 'refuses it'],
    [500, 'refuses it'],
  ])('with %s is told without its names and addresses', (status, words) => {
    const error = new KubernetesApiError(secret, status, 'Test')
    expect(() => throwOwnersMessage(error)).toThrow(words)
    expect(refusalOf(error).message).not.toContain(secret)
    try {
      throwOwnersMessage(error)
    } catch (plain) {
      expect(plain).toMatchObject({ cause: error, failure: { code: refusalOf(error).code } })
    }
  })
  test('for lack of room is reported as such', () => {
    const error = new KubernetesApiError(`${secret} is forbidden: exceeded quota: fp-apps`, 403, 'Forbidden')
    expect(refusalOf(error).code).toBe('FP_CLUSTER_FULL')
  })
  test('is distinguished from other errors', () => {
    const error = new Error('The files are too large.')
    expect(() => throwOwnersMessage(error)).toThrow(error)
    expect(refusalOf(error)).toMatchObject({ code: 'FP_CLUSTER_POD', message: 'The files are too large.' })
  })
})

describe('the unexpected end of a pod', () => {
  const container = { name: 'app', image: '', imageID: '', ready: false, restartCount: 0 }
  const ended = (exitCode: number, reason: string, message?: string): V1Pod => ({
    metadata: { name: 'app-a-1-0-x' },
    status: {
      containerStatuses: [
        { ...container, state: { terminated: { exitCode, reason, ...(message ? { message } : {}) } } },
      ],
    },
  })
  test.each<[string, V1Pod, string | undefined]>([
    ['with the runner’s report', ended(1, 'Error', JSON.stringify(REPORT)), 'FP_APP_IMPORT_FAILED'],
    ['for want of memory', ended(137, 'OOMKilled'), 'FP_APP_OUT_OF_MEMORY'],
    ['by its node', { status: { phase: 'Failed', reason: 'Evicted', message: 'full' } }, 'FP_APP_EVICTED'],
    ['after it was told to stop', ended(0, 'Completed'), undefined],
    ['when its grace was over', ended(1, 'Error'), undefined],
    ['with words of the app’s own', ended(1, 'Error', 'not a report'), undefined],
    ['not at all', { status: { phase: 'Running' } }, undefined],
  ])('%s', (_how, pod, code) => {
    expect(unaskedEnd(pod)?.code).toBe(code)
  })
})
