export { createProcessDriver } from './driver.ts'
export type { ProcessFailureCode } from './failures.ts'
export type {
  ProcessDriver,
  ProcessDriverOptions,
  ProcessOutput,
  ProcessPlace,
  ProcessSpec,
} from './options.ts'
