import js from '@eslint/js'
import prettier from 'eslint-config-prettier'
import svelte from 'eslint-plugin-svelte'
import { defineConfig, globalIgnores } from 'eslint/config'
import ts from 'typescript-eslint'

/** Module order of the platform, lowest first: a module may import those before it, and of them nothing but the service. */
const MODULES = [
  'attempts',
  'users',
  'databases',
  'assets',
  'app-records',
  'quotas',
  'drafts',
  'versions',
  'specs',
  'templates',
  'deployments',
  'apps',
  'activation',
  'calls',
  'logs',
  'trials',
]

/** Forbids imports in some files. `groups` are gitignore patterns of import paths. */
function forbid(files, ...rules) {
  const patterns = rules.map(([group, message]) => ({ group, message }))
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

const NOT_THE_CONSOLE = [
  ['@fp/console', '@fp/console/**', '**/console/**'],
  'The console and the platform meet in @fp/sdk.',
]
const NOT_THE_PLATFORM = [
  ['@fp/platform', '@fp/platform/**', '**/platform/src/**'],
  'Only the platform knows the platform.',
]
const NOT_THE_SCALER = [
  ['@fp/scaler', '@fp/scaler/**', '**/scaler/src/**'],
  'Only the platform knows the scaler.',
]
const NOT_A_DRIVER = [['**/drivers/**', '@fp/scaler/*'], 'The scaler knows drivers by their interface alone.']
const NO_DATABASE = [['mongodb', 'mongodb/**'], 'A service asks its store.']
const NO_WEB = [['fastify', '@fastify/**'], 'A service knows nothing of HTTP.']
const NO_SERVICE = [
  ['./service.ts', '../*/service.ts', './routes.ts', '../*/routes.ts'],
  'A store is below services and routes.',
]
const NO_ROUTES = [['**/*routes.ts'], 'Routes are above services.']

/** What a module may not import: those that come after it, and the insides of those before it. */
function moduleOrder(name) {
  const above = MODULES.slice(MODULES.indexOf(name) + 1)
  const below = MODULES.slice(0, MODULES.indexOf(name))
  const up = [above.map((other) => `../${other}/**`), 'Calls go down only; news goes up through events.']
  const inside = [
    below.flatMap((other) => [`../${other}/*store.ts`, `../${other}/*routes.ts`]),
    "Call the module's service.",
  ]
  return [up, inside].filter(([group]) => group.length > 0)
}

const inModule = (name, glob) => [`platform/src/modules/${name}/${glob}`]
const TESTS = ['**/*.test.ts']

export default defineConfig(
  globalIgnores([
    '**/dist',
    '**/build',
    '**/.svelte-kit',
    '.fp',
    'examples/*',
    '!examples/embed-scaler',
    'runner',
  ]),
  js.configs.recommended,
  ts.configs.recommended,
  svelte.configs.recommended,
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-undef': 'off',
      'prefer-const': ['error', { destructuring: 'all' }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/no-unused-expressions': ['error', { allowShortCircuit: true, allowTernary: true }],
    },
  },
  { files: ['**/*.svelte', '**/*.svelte.ts'], languageOptions: { parserOptions: { parser: ts.parser } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    rules: {
      // `let { x } = $props()` is how Svelte is written.
      'prefer-const': 'off',
      // The console is served from the root: there is no base path to resolve.
      'svelte/no-navigation-without-resolve': 'off',
      // Its comments silence svelte-check, of which this rule knows nothing.
      'svelte/no-unused-svelte-ignore': 'off',
    },
  },
  {
    files: ['platform/src/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'config.ts reads the settings.' },
      ],
    },
  },
  { files: ['platform/src/server.ts', ...TESTS], rules: { 'no-restricted-properties': 'off' } },

  // Who may import whom (docs/architecture.md).
  forbid(
    ['scaler/src/*.ts'],
    [['@fp/*', '@fp/*/**', '../../**'], 'The scaler knows nothing else of this repository.'],
    [['fastify', '@fastify/**', 'undici', 'node:http', './http/**'], 'The core knows no HTTP.'],
    NOT_A_DRIVER,
  ),
  forbid(
    ['scaler/src/{drivers,http}/**/*.ts'],
    [['@fp/sdk', '@fp/sdk/**', '@fp/platform'], 'The scaler knows nothing else of this repository.'],
    [
      ['../kubernetes/**', '../process/**', '../fake/**', '../../drivers/**', '../drivers/**'],
      'Drivers know no other driver.',
    ],
  ),
  forbid(['sdk/src/**/*.ts'], NOT_THE_CONSOLE, NOT_THE_PLATFORM, NOT_THE_SCALER),
  forbid(['console/**/*.{ts,svelte}', 'cli/**/*.ts'], NOT_THE_PLATFORM, NOT_THE_SCALER),
  forbid(['platform/src/**/*.ts'], NOT_THE_CONSOLE),
  ...MODULES.flatMap((name) => [
    forbid(inModule(name, '*.ts'), NOT_THE_CONSOLE, ...moduleOrder(name)),
    forbid(
      inModule(name, '*service.ts'),
      NOT_THE_CONSOLE,
      NO_DATABASE,
      NO_WEB,
      NO_ROUTES,
      ...moduleOrder(name),
    ),
    forbid(inModule(name, '*store.ts'), NOT_THE_CONSOLE, NO_WEB, NO_SERVICE, ...moduleOrder(name)),
  ]),
  // Tests build what they need.
  { files: TESTS, rules: { 'no-restricted-imports': 'off' } },
  prettier,
  svelte.configs.prettier,
)
