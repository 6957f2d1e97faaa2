import { createActivator } from '@fp/scaler'
import {
  askPod,
  createKubernetesDriver,
  KubernetesApi,
  KubernetesApiError,
  phasesOf,
  type KubernetesDriver,
  type KubernetesDriverOptions,
  type Probe,
} from '@fp/scaler/kubernetes'
import { KubeConfig } from '@kubernetes/client-node'

/** A stranger's program that has installed the client of Kubernetes, and no web server. There is no cluster. */
const kubeConfig = new KubeConfig()
kubeConfig.loadFromClusterAndUser(
  { name: 'test', server: 'http://127.0.0.1:1', skipTLSVerify: true },
  { name: 'test', token: 'secret' },
)
const readiness: Probe = async (address, signal) => {
  const { status, timing } = await askPod(address, '/healthz', signal)
  return { ready: status === 200, phases: phasesOf(timing ?? '') }
}
const options: KubernetesDriverOptions = {
  kubeConfig,
  namespace: 'apps',
  targetLabel: 'example.org/target',
  port: 8080,
  readiness,
}
const start = async (): Promise<void> => {
  await using driver: KubernetesDriver = await createKubernetesDriver(options)
  await createActivator({ driver })
}
const refused: unknown = await start().catch((error: unknown) => error)
if (!(refused instanceof KubernetesApiError && refused.status === 0)) {
  throw new Error('A cluster that is not there was found.', { cause: refused })
}
await using api = new KubernetesApi(kubeConfig)
const lost = await api.request<{ items: unknown[] }>('GET', '/api/v1/pods').catch(() => undefined)
if (lost) throw new Error('A cluster that is not there has pods.')
