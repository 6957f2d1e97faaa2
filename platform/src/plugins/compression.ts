import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { constants } from 'node:zlib'

/** Bytes of an answer below which compression saves less than it costs. */
const SMALL = 1024

/**
 * Compresses JSON answers, in threads. Streams of apps and events pass as they arrive: a compressor would hold them back. The
 * console's files are compressed when they are built.
 */
export const compressionPlugin = fp(
  async (app: FastifyInstance) => {
    await app.register(compress, {
      encodings: ['gzip', 'identity'],
      customTypes: /^application\/json\b/,
      threshold: SMALL,
      zlibOptions: { level: constants.Z_BEST_SPEED },
      // Requests are read as JSON up to their limits; none is sent compressed.
      globalDecompression: false,
    })
  },
  { name: 'compression' },
)
