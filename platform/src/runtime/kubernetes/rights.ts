/** What the platform may do in the namespace of the apps. `deploy/base/rbac.yaml` grants the same; a test compares the two. */
export const RIGHTS = {
  pods: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  'pods/log': ['get'],
  secrets: ['list', 'watch', 'create', 'delete'],
  services: ['list', 'watch', 'create'],
  configmaps: ['get', 'create'],
  events: ['list', 'watch'],
  // Not patch: a claim is never changed.
  persistentvolumeclaims: ['get', 'create', 'delete'],
  deployments: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  // Used only by the scaler's driver.
  'deployments/scale': ['patch'],
  endpointslices: ['list', 'watch'],
} as const

type Rights = typeof RIGHTS
export type Verb = Rights[keyof Rights][number]

/** The kinds for which the platform has a verb. A call with another kind does not compile. */
export type KindWith<V extends Verb> = {
  [K in keyof Rights]: V extends Rights[K][number] ? K : never
}[keyof Rights]
