/** The admin's settings for Kubernetes. `config-kubernetes.ts` reads them. */
export interface KubernetesSettings {
  /** The namespace of the apps. */
  readonly namespace: string
  readonly runnerImage: string
  /** How many pods one app may have. Many requests need more than one. */
  readonly maxReplicas: number
  /** Pods that wait for an app with the frameworks imported; 0 = none. */
  readonly poolSize: number
  /** A RuntimeClass, such as gVisor's; undefined = the cluster's default. */
  readonly runtimeClass: string | undefined
  /** Run apps even if the cluster enforces no NetworkPolicies. */
  readonly allowUnsandboxed: boolean
  /** `host:port` of a relay that limits each pod's connections to MongoDB; undefined = apps connect to MongoDB directly. */
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
