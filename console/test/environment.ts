import type { Environment } from 'vitest/runtime'

/** Node, with modules compiled as for a browser: Svelte's state is then the reactive one of the console. */
const environment: Environment = {
  name: 'console',
  viteEnvironment: 'client',
  setup: () => ({ teardown: () => undefined }),
}

// Vitest takes an environment as a default export.
export default environment
