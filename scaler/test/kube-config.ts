import { KubeConfig } from '@kubernetes/client-node'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The way to an API server of a test's own. */
export function configOf(server: Server): KubeConfig {
  const { port } = server.address() as AddressInfo
  const config = new KubeConfig()
  config.loadFromOptions({
    clusters: [{ name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
    users: [{ name: 'test', token: 'secret' }],
    contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
    currentContext: 'test',
  })
  return config
}
