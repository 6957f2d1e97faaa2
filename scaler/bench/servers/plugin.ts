import Fastify from 'fastify'
import { answerHealthChecks, answerMonitors, scalerProxy } from '../../src/http/index.ts'
import { createActivator, DEFAULT_POLICY, type Driver, type Observer } from '../../src/index.ts'

/** The plugin with everything that an embedder would use: a policy, a counting observer, forwarding headers, wake policies. */
const [port, upstream] = process.argv.slice(2)
const driver: Driver = {
  name: 'one',
  scale: () => Promise.resolve(),
  watch(onChange) {
    onChange('app', { ready: [{ id: 'app-1', url: new URL(`http://127.0.0.1:${upstream}`) }] })
    return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() })
  },
}
const counts = { waking: 0, awake: 0, granted: 0, refused: 0, leases: 0 }
const observer: Observer = {
  waking: () => void counts.waking++,
  awake: () => void counts.awake++,
  granted: () => void counts.granted++,
  refused: () => void counts.refused++,
}
const policy = { ...DEFAULT_POLICY, concurrency: 100 }
const activator = await createActivator({ driver, observer, policy: () => policy })
const fastify = Fastify()
await fastify.register(scalerProxy, {
  activator,
  resolve: (request) => Promise.resolve(request.headers.host === undefined ? 'none' : 'app'),
  wakePolicies: [answerHealthChecks(), answerMonitors()],
  onLease: () => void counts.leases++,
})
await fastify.listen({ port: Number(port), host: '127.0.0.1' })
