import type { V1Pod } from '@kubernetes/client-node'

/** By kubelet's word. */
export function isPodReady(pod: V1Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

/** It has ended, and is not started again. */
export function isPodOver(pod: V1Pod): boolean {
  return pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
}

/** Where it answers; undefined while it has no address. */
export function podAddress(pod: V1Pod, port: number): URL | undefined {
  const ip = pod.status?.podIP
  if (!ip) return undefined
  return new URL(ip.includes(':') ? `http://[${ip}]:${port}` : `http://${ip}:${port}`)
}
