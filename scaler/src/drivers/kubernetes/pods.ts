import type { V1Pod } from '@kubernetes/client-node'

/** Whether the kubelet reports the pod as ready. */
export function isPodReady(pod: V1Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

/** Whether the pod has ended and will not be restarted. */
export function isPodOver(pod: V1Pod): boolean {
  return pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
}

/** The URL of the pod; undefined while the pod has no address. */
export function podAddress(pod: V1Pod, port: number): URL | undefined {
  const ip = pod.status?.podIP
  if (!ip) return undefined
  return new URL(ip.includes(':') ? `http://[${ip}]:${port}` : `http://${ip}:${port}`)
}
