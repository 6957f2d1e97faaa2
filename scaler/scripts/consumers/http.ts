import { createActivator } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import { scalerProxy, type ScalerProxyOptions } from '@fp/scaler/http'
import Fastify from 'fastify'

/** A stranger's program that has installed the peer dependencies as well. */
const activator = await createActivator({ driver: new FakeDriver() })
const options: ScalerProxyOptions = {
  activator,
  resolve: (request) => Promise.resolve(request.headers.host ?? ''),
}
const fastify = Fastify()
await fastify.register(scalerProxy, options)
await fastify.ready()
await fastify.close()
await activator.close()
