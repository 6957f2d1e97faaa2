import type { CoreV1Event } from '@kubernetes/client-node'
import { expect, test } from 'vitest'
import { newsOf } from './cluster-events.ts'

const event = (name: string, reason: string, message = ''): CoreV1Event =>
  ({ involvedObject: { name }, reason, message }) as CoreV1Event

test.each([
  ['a pod', 'app-3k9x-2-7-6d4f9c7b5-x2x9k'],
  ['its ReplicaSet', 'app-3k9x-2-7-6d4f9c7b5'],
  ['its Deployment', 'app-3k9x-2-7'],
])('%s is known by its name', (_what, name) => {
  expect(newsOf(event(name, 'Pulling'))).toEqual({
    key: '3k9x.2.7',
    message: 'The node fetches the image that runs apps.',
  })
})

test('a pod from the pool is matched by the target that claimed it', () => {
  const targetOfPod = (name: string): string | undefined => (name === 'pool-k2j4h5' ? 'a.1.1' : undefined)
  expect(newsOf(event('pool-k2j4h5', 'Evicted', 'Usage of EmptyDir …'), targetOfPod)).toEqual({
    key: 'a.1.1',
    message: 'The node ran short and ended the pod: Usage of EmptyDir …',
  })
  expect(newsOf(event('pool-other', 'Evicted'), targetOfPod)).toBeUndefined()
})

test.each(['pool-k2j4h5', 'check-k2j4h5', 'app-3k9x', 'app-3k9x-2-7b', ''])('%s is no target', (name) => {
  expect(newsOf(event(name, 'Pulling'))).toBeUndefined()
})

test.each([
  ['Scheduled', 'Successfully assigned …', 'A node has room for the app.'],
  ['Pulled', 'Successfully pulled image in 3s', 'The node has the image.'],
  ['Started', 'Started container app', 'The container has started; your code is being loaded.'],
  [
    'FailedScheduling',
    '0/1 nodes: Insufficient memory.',
    'No node has room for the app: 0/1 nodes: Insufficient memory.',
  ],
  ['FailedCreate', 'exceeded quota', 'The cluster does not let the pod be made: exceeded quota'],
  ['BackOff', 'Back-off restarting', 'It has ended and is started again, later each time.'],
])('%s is told in plain words', (reason, message, words) => {
  expect(newsOf(event('app-a-1-1', reason, message))?.message).toBe(words)
})

test.each([
  ['Pulled', 'Container image "fp/runner" already present on machine'],
  ['SuccessfulCreate', 'Created pod'],
  ['Unhealthy', 'Startup probe failed'],
  ['toString', ''],
])('%s says nothing to an owner: %s', (reason, message) => {
  expect(newsOf(event('app-a-1-1', reason, message))).toBeUndefined()
})

test('a very long message is cut', () => {
  expect(newsOf(event('app-a-1-1', 'Failed', 'x'.repeat(10_000)))!.message).toHaveLength(300)
})
