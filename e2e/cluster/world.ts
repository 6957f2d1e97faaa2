import type { V1Deployment, V1Pod } from '@kubernetes/client-node'
import { afterEach, beforeAll, expect, vi } from 'vitest'
import { install, type Installation } from '../harness/installation.ts'
import { TestUser } from '../harness/user.ts'

/** Wakes, evictions and rollouts on a small machine, ms. */
export const PATIENCE = { timeout: 90_000, interval: 250 }

/** The installation as a suite uses it. */
export interface World {
  readonly fp: Installation
  readonly user: TestUser
  someone(): Promise<TestUser>
  podsOf(appId: string): Promise<V1Pod[]>
  /** The pods that have not ended and are not being stopped. */
  running(appId: string): Promise<V1Pod[]>
  asleep(appId: string): Promise<void>
  /** Whether no pod of the app runs and none is wanted. */
  reallyAsleep(appId: string): Promise<void>
  /** Deletes waiting pods faster than they are made. */
  emptyPool(): Promise<void>
}

/** Call it at a suite's beginning: installs fp if necessary, and prints the cluster's state when a test fails. */
export function useInstallation(): World {
  let fp: Installation
  let user: TestUser
  beforeAll(async () => {
    fp = await install()
    user = await someone()
  })
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(`${task.name} failed:\n${await fp.dump()}`)
  })
  const someone = (): Promise<TestUser> =>
    TestUser.signUp(fp, `user${Math.random().toString(36).slice(2, 10)}`)
  const podsOf = (appId: string): Promise<V1Pod[]> =>
    fp.objects<V1Pod>('pods', 'fp-apps', `fp.dev/app=${appId}`)

  return {
    get fp() {
      return fp
    },
    get user() {
      return user
    },
    someone,
    podsOf,
    running: async (appId) =>
      (await podsOf(appId)).filter(
        ({ metadata, status }) =>
          !metadata?.deletionTimestamp && !['Failed', 'Succeeded'].includes(status?.phase ?? ''),
      ),
    async asleep(appId) {
      await expect.poll(async () => (await user.client.apps.sleep(appId)).status, PATIENCE).toBe('sleeping')
    },
    async emptyPool() {
      await fp.kubectl(
        ...['-n', 'fp-apps', 'delete', 'pods', '-l', 'fp.dev/role=pool'],
        ...['--grace-period=0', '--force'],
      )
    },
    async reallyAsleep(appId) {
      // Not expect.poll, as concurrent tests cannot share it.
      await vi.waitFor(async () => expect(await podsOf(appId)).toHaveLength(0), PATIENCE)
      const deployments = await fp.objects<V1Deployment>('deployments', 'fp-apps', `fp.dev/app=${appId}`)
      expect(deployments.map(({ spec }) => spec?.replicas)).toEqual([0])
    },
  }
}

/** An app that answers with a word and with the name of its pod. */
export const saying = (word: string): string => `import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, str]:
    print("called")
    return {"text": "${word}", "pod": os.uname().nodename}
`
