/** The admin's settings of the cluster mode; `config.ts` reads them. */
export interface KubernetesSettings {
  /** The namespace of the apps. */
  readonly namespace: string
  readonly runnerImage: string
  /** Pods of one app at most; more than one where its requests are many. */
  readonly maxReplicas: number
  /** Pods that wait for an app with the frameworks imported; 0 = none. */
  readonly poolSize: number
  /** A RuntimeClass, such as gVisor's; undefined = the cluster's default. */
  readonly runtimeClass: string | undefined
  /** Run apps even where the cluster enforces no NetworkPolicies. */
  readonly allowUnsandboxed: boolean
  /** `host:port` of a relay that bounds each pod's connections to MongoDB; undefined = apps connect to it directly. */
  readonly mongodbHost: string | undefined
  /** The StorageClass of apps' volumes; undefined = the cluster's default. */
  readonly storageClass: string | undefined
  /** The size of each such volume, a Kubernetes quantity. */
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
