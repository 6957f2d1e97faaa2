import type { TestProject } from 'vitest/node'
import { buildImage } from './images.ts'
import { startCluster } from './cluster.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly cluster: {
      kubeconfig: string
      hostAddress: string
      nodeAddress: string
      /** For pods that run a script. */
      nodeImage: string
      runnerImage: string
    }
  }
}

const NODE_IMAGE = process.env.FP_BASE_NODE ?? 'node:24-slim'

/** One cluster for all suites. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const runnerImage = await buildImage('runner')
  const cluster = await startCluster()
  try {
    await cluster.load(NODE_IMAGE, runnerImage)
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  const { kubeconfig, hostAddress, nodeAddress } = cluster
  project.provide('cluster', { kubeconfig, hostAddress, nodeAddress, nodeImage: NODE_IMAGE, runnerImage })
  return async () => {
    await cluster[Symbol.asyncDispose]()
  }
}
