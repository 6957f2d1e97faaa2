import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

/** Tests of the console's state and logic. ../vitest.config.ts runs them with all others; what needs a browser is in e2e. */
export default defineConfig({
  plugins: [svelte({ configFile: false, compilerOptions: { runes: true } })],
  resolve: { conditions: ['@fp/source', 'browser'] },
  test: {
    name: 'console',
    include: ['src/**/*.test.ts'],
    environment: './test/environment.ts',
    // A browser's storage, which ends with the process.
    execArgv: [
      '--disable-warning=ExperimentalWarning',
      '--experimental-webstorage',
      '--localstorage-file=:memory:',
    ],
    server: { deps: { inline: [/svelte/] } },
    testTimeout: 60_000,
    // As the other projects that run at the same time.
    maxWorkers: '100%',
  },
})
