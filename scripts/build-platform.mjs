import { rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { rolldown } from 'rolldown'
import { minify } from 'rolldown/experimental'
import { inRoot } from './lib/paths.mjs'
import { BUILD } from './lib/platform-build.mjs'

// Builds one JavaScript file for each process from the platform's sources, and files of the packages that it needs. So Node
// need not strip types, and has neither the compiler for that nor 700 modules in memory: see docs/decisions/0034.

const SOURCES = inRoot('platform/src')

/** The entry points that are started by a command line. */
const ENTRIES = ['server', 'cluster/prepare', 'cluster/initiate']

/** Matches a file that the sources start as a process or a thread. It becomes an entry point of the build too. */
const STARTED = /new URL\('\.\/(.+?)\.ts', import\.meta\.url\)/g

/** Packages that are not bundled: they read files of their own, or are optional packages of the MongoDB driver. */
const EXTERNAL = [
  /^(pino|pino-pretty|web-tree-sitter)$/,
  /^(@node-rs|@astral-sh)\//,
  /^(kerberos|@mongodb-js\/zstd|@aws-sdk\/credential-providers|gcp-metadata|snappy|socks|aws4|mongodb-client-encryption)$/,
  /^(bufferutil|utf-8-validate)$/,
]

/** Modules that replace a whole package in the build. */
const STAND_INS = {
  // `import` reads all of its exports, and one of these loads Node's own undici: 2 MiB and 50 ms in each process.
  'node:http': `module.exports = process.getBuiltinModule('node:http')`,
  // Its tables of international names take 3.5 MiB in each process; the MongoDB driver parses addresses with it, as Node does too.
  'whatwg-url': 'export const { URL, URLSearchParams } = globalThis',
  // Its tables take 1.2 MiB in each process. The MongoDB driver prepares passwords with it; printable ASCII stays as it is.
  '@mongodb-js/saslprep': `
    exports.saslprep = (text) =>
      /^[\\x20-\\x7e]*$/.test(text) ? text : require('@mongodb-js/saslprep').saslprep(text)
  `,
  // The rest of it is what Node has built in: fetch, WebSocket, caches. Also for @fastify/reply-from, which has an older one of its
  // own and is always given a dispatcher of ours.
  undici: `
    import api from 'undici/lib/api/index.js'
    import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
    Object.assign(Dispatcher.prototype, api)
    export { Dispatcher }
    export { default as Agent } from 'undici/lib/dispatcher/agent.js'
    export { default as BalancedPool } from 'undici/lib/dispatcher/balanced-pool.js'
    export { default as Client } from 'undici/lib/dispatcher/client.js'
    export { default as Pool } from 'undici/lib/dispatcher/pool.js'
    export { default as ProxyAgent } from 'undici/lib/dispatcher/proxy-agent.js'
    export { default as buildConnector } from 'undici/lib/core/connect.js'
    export { default as errors } from 'undici/lib/core/errors.js'
    export { getGlobalDispatcher } from 'undici/lib/global.js'
  `,
}

const partial = `${BUILD}.partial`
await rm(partial, { recursive: true, force: true })
const bundle = await rolldown({
  cwd: inRoot(),
  platform: 'node',
  input: Object.fromEntries(
    ENTRIES.map((entry) => [entry.replaceAll('/', '-'), path.join(SOURCES, `${entry}.ts`)]),
  ),
  external: EXTERNAL,
  resolve: { conditionNames: ['@fp/source', 'node'] },
  plugins: [findPlaces(), standIns()],
  logLevel: 'warn',
})
const { output } = await bundle.write({
  dir: partial,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
  comments: { annotation: false, jsdoc: false, legal: false },
  // Each process loads the packages that it needs and no other.
  codeSplitting: {
    groups: [{ name: 'packages', test: /[\\/]node_modules[\\/]/, entriesAware: true }],
  },
})
for (const chunk of output) {
  if (chunk.type !== 'chunk') continue
  // The platform's own code stays readable, for stack traces.
  const isOwn = !chunk.name.startsWith('packages')
  const code = isOwn ? chunk.code : (await minify(chunk.fileName, chunk.code, { module: true })).code
  await writeFile(path.join(partial, chunk.fileName), toAscii(code))
}
await rm(BUILD, { recursive: true, force: true })
await rename(partial, BUILD)

/** With a single character beyond ASCII, Node would store a file with two bytes per character. */
function toAscii(code) {
  return code.replace(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The build is in another folder than the sources, so paths relative to a source file are replaced. */
function findPlaces() {
  return {
    name: 'find-places',
    transform(code, id) {
      if (id.includes('node_modules') || !code.includes('import.meta')) return undefined
      const folder = path.dirname(id)
      const replaced = code.replaceAll(STARTED, (_, name) => {
        const started = path.join(folder, `${name}.ts`)
        const fileName = path.relative(SOURCES, started).replaceAll('/', '-').replace(/\.ts$/, '.js')
        this.emitFile({ type: 'chunk', id: started, fileName })
        return `new URL('./${fileName}', import.meta.url)`
      })
      const from = JSON.stringify(`/${path.relative(BUILD, folder)}`)
      return replaced.replaceAll('import.meta.dirname', `(import.meta.dirname + ${from})`)
    },
  }
}

function standIns() {
  const prefix = '\0stand-in:'
  return {
    name: 'stand-ins',
    resolveId(source, importer = '') {
      if (!Object.hasOwn(STAND_INS, source) || importer === `${prefix}${source}`) return undefined
      // The Kubernetes client uses fetch.
      if (importer.includes('@kubernetes')) return undefined
      return `${prefix}${source}`
    },
    load: (id) => (id.startsWith(prefix) ? STAND_INS[id.slice(prefix.length)] : undefined),
  }
}
