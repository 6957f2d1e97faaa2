export { KubernetesApi, KubernetesApiError, type ApiRequest, type PatchType } from './api.ts'
export { createKubernetesDriver } from './driver.ts'
export { podFailure, type KubernetesFailureCode, type KubernetesFailureDetails } from './failures.ts'
export { createInformer, type Informer, type InformerOptions } from './informer.ts'
export { linesOf } from './lines.ts'
export type { KubernetesDriver, KubernetesDriverOptions, SparePods, TakenPod } from './options.ts'
export { isPodOver, isPodReady, podAddress } from './pods.ts'
export {
  askPod,
  httpProbe,
  phasesOf,
  type Probe,
  type ProbeAnswer,
  type ProbeResult,
  type ReadinessOptions,
} from './probe.ts'
