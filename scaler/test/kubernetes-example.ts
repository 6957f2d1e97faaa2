import { createActivator } from '@fp/scaler'
import { scalerProxy } from '@fp/scaler/http'
import { createKubernetesDriver } from '@fp/scaler/kubernetes'
import { KubeConfig } from '@kubernetes/client-node'
import Fastify from 'fastify'

const kubeConfig = new KubeConfig()
kubeConfig.loadFromDefault() // in a pod: its service account

const driver = await createKubernetesDriver({
  kubeConfig,
  namespace: 'apps',
  targetLabel: 'example.org/target',
  port: 8080,
  readiness: { path: '/healthz' },
})
const activator = await createActivator({ driver })
const proxy = Fastify()
await proxy.register(scalerProxy, {
  activator,
  // shop.example.org is for the target "shop"
  resolve: ({ headers: { host = '' } }) => Promise.resolve(host.split('.')[0]!),
})
const url = await proxy.listen({ host: '0.0.0.0', port: Number(process.env.PORT ?? 8000) })
console.log(`Deployments are woken at ${url}`)

process.once('SIGTERM', async () => {
  await proxy.close()
  await activator.close()
  await driver[Symbol.asyncDispose]()
})
