import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import files from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { notFound, sendError } from './errors.ts'

/** Serves the built console. Any navigation to a path without a file gets index.html, which routes by itself. */
export const consolePlugin = fp(
  async (app: FastifyInstance, options: { dir: string }) => {
    const indexFile = path.join(options.dir, 'index.html')
    if (!existsSync(indexFile)) {
      app.log.warn(`The console is not built (${options.dir}). Run: npm run build`)
      app.get('/', { schema: { hide: true } as object }, async (_request, reply) =>
        reply
          .type('text/html; charset=utf-8')
          .send(
            '<!doctype html><title>fp</title><p>The console is not built. Run <code>npm run build</code>, then start again.',
          ),
      )
      app.setNotFoundHandler(async (request, reply) => sendError(request, reply, notFound(request)))
      return
    }
    const index = readFileSync(indexFile, 'utf8')
    const policy = contentSecurityPolicy(index)
    const sendIndex = (reply: FastifyReply): FastifyReply =>
      reply
        .type('text/html; charset=utf-8')
        .headers({ 'content-security-policy': policy, 'cache-control': 'no-cache' })
        .send(index)

    await app.register(files, {
      root: options.dir,
      index: false,
      // One route per file, so that requests for other paths do not access the disk.
      wildcard: false,
      globIgnore: ['index.html'],
      cacheControl: false,
      preCompressed: true,
      setHeaders(reply, file) {
        const hashed = file.includes('/_app/immutable/')
        // Monaco's workers use the policy of their own file's answer.
        reply.headers({
          'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
          'content-security-policy': policy,
        })
      },
    })
    app.get('/', { schema: { hide: true } as object }, async (_request, reply) => sendIndex(reply))
    app.setNotFoundHandler(async (request, reply) =>
      isNavigation(request) ? sendIndex(reply) : sendError(request, reply, notFound(request)),
    )
  },
  { name: 'console' },
)

function isNavigation(request: FastifyRequest): boolean {
  const { method, url, headers } = request
  const isOurs = !url.startsWith('/api/') && !url.startsWith('/_app/')
  return method === 'GET' && isOurs && (headers.accept ?? '').includes('text/html')
}

/**
 * Inline scripts run only if they were in index.html at the start: the policy has their hashes. `wasm-unsafe-eval` is for the
 * Python checks, `blob:` workers and inline styles are for Monaco.
 */
export function contentSecurityPolicy(html: string): string {
  const hashes = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/gi)].map(
    ([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  )
  return [
    "default-src 'none'",
    ["script-src 'self' 'wasm-unsafe-eval'", ...hashes].join(' '),
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')
}
