import Fastify from 'fastify'
import { createActivator, DEFAULT_POLICY } from '../../../src/activator.ts'
import { FakeDriver } from '../../../src/drivers/fake/index.ts'
import { scalerProxy } from '../../../src/http/index.ts'

/** What the test asks of the proxy, which is a process of its own so that its memory can be told from others'. */
export type Order = { readonly wake: string } | 'sleep' | 'memory'
export type News =
  { readonly port: number } | 'waking' | 'asleep' | { readonly peak: number; readonly now: number }

const driver = new FakeDriver()
// What waits unread costs nothing here, however long it says it is.
const activator = await createActivator({
  driver,
  policy: () => DEFAULT_POLICY,
})
const proxy = Fastify()
await proxy.register(scalerProxy, {
  activator,
  resolve: () => 'app',
})
const url = await proxy.listen({ port: 0, host: '127.0.0.1' })
let endpoints = 0

driver.onScale = ({ replicas }) => {
  if (replicas > 0) tell('waking')
}
process.on('message', (order: Order) => {
  if (order === 'memory')
    tell({ now: process.memoryUsage.rss(), peak: process.resourceUsage().maxRSS * 1024 })
  else if (order === 'sleep') void activator.sleep('app').then(() => tell('asleep'))
  else driver.emit('app', { ready: [{ id: `app-${++endpoints}`, url: new URL(order.wake) }] })
})
process.once('disconnect', () => process.exit())
tell({ port: Number(new URL(url).port) })

function tell(news: News): void {
  process.send!(news)
}
