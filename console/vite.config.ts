import { sveltekit } from '@sveltejs/kit/vite'
import tailwindcss from '@tailwindcss/vite'
import { defaultClientConditions, defaultServerConditions, defineConfig } from 'vite'
import { compressedStatic } from './compressed-static.ts'

export default defineConfig({
  plugins: [
    tailwindcss(),
    sveltekit({
      // A single page app: the platform serves index.html for every path it does not know.
      adapter: compressedStatic('build'),
      compilerOptions: { runes: true },
      version: { pollInterval: 0 },
    }),
  ],
  resolve: { conditions: ['@fp/source', ...defaultClientConditions] },
  ssr: { resolve: { conditions: ['@fp/source', ...defaultServerConditions] } },
  worker: { format: 'es' },
  build: {
    // No data: URLs, so that the CSP need not allow them for fonts and workers.
    assetsInlineLimit: 0,
    // Monaco is one large chunk, which is loaded with the editor only.
    chunkSizeWarningLimit: 5000,
  },
  server: { proxy: { '/api': 'http://localhost:8080' } },
})
