import type { TestProject } from 'vitest/node'
import { startCluster } from './cluster.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly cluster: { kubeconfig: string; hostAddress: string; nodeAddress: string; nodeImage: string }
  }
}

/** For pods that run a script. */
const NODE_IMAGE = process.env.FP_BASE_NODE ?? 'node:24-slim'

/** One cluster for all suites. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startCluster()
  try {
    await cluster.load(NODE_IMAGE)
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  const { kubeconfig, hostAddress, nodeAddress } = cluster
  project.provide('cluster', { kubeconfig, hostAddress, nodeAddress, nodeImage: NODE_IMAGE })
  return async () => {
    await cluster[Symbol.asyncDispose]()
  }
}
