export {
  describeCoordinationContract,
  type CoordinationContractOptions,
  type CoordinationUnderTest,
} from './coordination.ts'
export {
  describeDriverContract,
  type DriverContractOptions,
  type DriverUnderTest,
  type FailingTarget,
  type SlowTarget,
} from './driver.ts'
export type { DefineHook, DefineTest, TestFramework } from './framework.ts'
