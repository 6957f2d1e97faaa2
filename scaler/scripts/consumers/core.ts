import { createActivator, DEFAULT_POLICY, ScalerError, type Activator, type Driver } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import { createProcessDriver, type ProcessDriver } from '@fp/scaler/process'

/** A stranger's program that has nothing installed but the package and its dependencies. */
const driver = new FakeDriver()
driver.onScale = ({ key, replicas }) => {
  if (replicas > 0) driver.ready(key, replicas)
}
const activator: Activator = await createActivator({
  driver: driver satisfies Driver,
  policy: (key) => ({ ...DEFAULT_POLICY, idleTimeout: key === 'app' ? 1_000 : 60_000 }),
})
const lease = await activator.acquire('app')
lease.release()
await activator.close()
const refused: unknown = await activator.acquire('app').catch((error: unknown) => error)
if (!(refused instanceof ScalerError)) throw new Error('A closed activator gave out a lease.')

const processes: ProcessDriver = createProcessDriver({ command: () => undefined })
await processes[Symbol.asyncDispose]()
