export * from './common.ts'
export * from './users.ts'
export * from './apps.ts'
export * from './deployments.ts'
