import type { TestProject } from 'vitest/node'
import { buildImage, provideImage } from './images.ts'
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
      platformImage: string
    }
  }
}

/** One cluster for all suites. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const nodeImage = await provideImage('node:24-slim', process.env.FP_BASE_NODE)
  const mongoImage = await provideImage('mongo:7.0.28', process.env.FP_BASE_MONGO)
  const runnerImage = await buildImage('runner')
  const platformImage = await buildImage('platform')
  const cluster = await startCluster()
  try {
    await cluster.load(nodeImage, mongoImage, runnerImage, platformImage)
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  const { kubeconfig, hostAddress, nodeAddress } = cluster
  project.provide('cluster', { kubeconfig, hostAddress, nodeAddress, nodeImage, runnerImage, platformImage })
  return async () => {
    await cluster[Symbol.asyncDispose]()
  }
}
