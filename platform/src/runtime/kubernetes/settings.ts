/** What an admin sets of the cluster home; `config.ts` reads it. */
export interface KubernetesSettings {
  /** Of the apps. */
  readonly namespace: string
  readonly runnerImage: string
  /** Pods of one app at most; more than one where its requests are many. */
  readonly maxReplicas: number
  /** Pods that wait for an app with the frameworks imported; 0 = none. */
  readonly poolSize: number
  /** Such as gVisor's; undefined = the cluster's default. */
  readonly runtimeClass: string | undefined
  /** Run apps even where the cluster enforces no NetworkPolicies. */
  readonly allowUnsandboxed: boolean
  /** `host:port` of a relay that bounds each pod's connections to MongoDB; undefined = apps connect to it directly. */
  readonly mongodbHost: string | undefined
  /** Of apps' volumes; undefined = the cluster's default. */
  readonly storageClass: string | undefined
  /** Of each such volume, a Kubernetes quantity. */
  readonly storageSize: string
  readonly resources: AppResources
}

/** Kubernetes quantities. */
export interface AppResources {
  readonly cpuRequest: string
  readonly cpuLimit: string | undefined
  readonly memoryRequest: string
  readonly memoryLimit: string
}
