import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import adapter from '@sveltejs/adapter-static'
import type { Adapter } from '@sveltejs/kit'

const TEXT = /\.(html|js|css|json|svg|wasm|ttf)$/
/** Compressing a smaller file saves no packet. */
const MIN_BYTES = 1024
/** adapter-static's `precompress` uses brotli's highest level, which takes 35 s for the last 5 percent. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 6 } }

/** Writes a single page app to `dir`, each file with its `.br` and `.gz`, which the platform serves as they are. */
export function compressedStatic(dir: string): Adapter {
  const inner = adapter({ pages: dir, fallback: 'index.html' })
  return {
    name: 'compressed-static',
    async adapt(builder) {
      await inner.adapt(builder)
      await compressAll(dir)
    },
  }
}

async function compressAll(dir: string): Promise<void> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && TEXT.test(entry.name))
  await Promise.all(files.map((entry) => compress(path.join(entry.parentPath, entry.name))))
}

async function compress(file: string): Promise<void> {
  const text = await readFile(file)
  if (text.byteLength < MIN_BYTES) return
  const [br, gz] = await Promise.all([promisify(brotliCompress)(text, BROTLI), promisify(gzip)(text)])
  await Promise.all([writeFile(`${file}.br`, br), writeFile(`${file}.gz`, gz)])
}
