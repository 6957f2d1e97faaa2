import { createActivator } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import { traceExchanges } from '@fp/scaler/otel'

/** A stranger's program that traces its exchanges without an SDK: nothing is recorded then. */
const activator = await createActivator({ driver: new FakeDriver() })
const { onRequest, onExchange } = traceExchanges()
if (typeof onRequest !== 'function' || typeof onExchange !== 'function') throw new Error('no hooks')
await activator.close()
