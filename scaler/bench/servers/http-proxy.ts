import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'

/** @fastify/http-proxy, configured as in its documentation. */
const [port, upstream] = process.argv.slice(2)
const fastify = Fastify()
await fastify.register(httpProxy, { upstream: `http://127.0.0.1:${upstream}` })
await fastify.listen({ port: Number(port), host: '127.0.0.1' })
