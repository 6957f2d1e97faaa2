import js from '@eslint/js'
import prettier from 'eslint-config-prettier'
import svelte from 'eslint-plugin-svelte'
import { defineConfig, globalIgnores } from 'eslint/config'
import { readFileSync } from 'node:fs'
import ts from 'typescript-eslint'

/** Modules of the platform, lowest first, as modules/index.ts lists them. A module may import those before it, and of them nothing but the service. */
const MODULES = modulesOf(readFileSync(new URL('platform/src/modules/index.ts', import.meta.url), 'utf8'))

function modulesOf(index) {
  const imports = index.matchAll(/^import \{ (\w+) \} from '\.\/([\w-]+)\/module\.ts'$/gm)
  const folders = new Map([...imports].map(([, name, folder]) => [name, folder]))
  const listed = [...index.matchAll(/^ {2}(\w+),$/gm)].map(([, name]) => folders.get(name))
  if (listed.length !== folders.size || listed.includes(undefined))
    throw new Error('eslint.config.js cannot read the list in platform/src/modules/index.ts.')
  return listed
}

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
/** Files of a module that know HTTP, and those that know MongoDB. */
const ROUTES = '{*routes,hook,send}.ts'
const STORES = '{*store,change-stream,operations,rights}.ts'
const TESTS = ['**/*.test.ts']

/** What takes a default export: the tool that loads the file. */
const DEFAULT_EXPORTS = [
  '**/{eslint,vite,vitest}.config.{js,ts}',
  'scripts/lib/test-reporter.mjs',
  'console/test/environment.ts',
]

const NO_SLEEP =
  'Wait for the event (expect.poll, vi.waitFor), or move a fake clock on. A comment says why where time itself is what is tested.'

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
    files: ['scaler/src/**/*.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'AsyncDisposableStack', message: 'It needs Node 24; the package promises Node 22.19.' },
        { name: 'DisposableStack', message: 'It needs Node 24; the package promises Node 22.19.' },
      ],
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

  {
    files: ['**/*.{ts,mjs,js}'],
    ignores: ['**/*.d.ts', ...DEFAULT_EXPORTS],
    rules: {
      'no-restricted-exports': [
        'error',
        {
          restrictDefaultExports: {
            direct: true,
            named: true,
            defaultFrom: true,
            namedFrom: true,
            namespaceFrom: true,
          },
        },
      ],
    },
  },
  {
    files: TESTS,
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "ImportDeclaration[source.value=/^(node:)?timers\\/promises$/] ImportSpecifier[imported.name='setTimeout']",
          message: NO_SLEEP,
        },
        {
          selector: "NewExpression[callee.name='Promise'] CallExpression[callee.name='setTimeout']",
          message: NO_SLEEP,
        },
      ],
    },
  },

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
    // What is neither a descriptor, a route nor a store is a service or a part of one.
    forbid(inModule(name, '*.ts'), NOT_THE_CONSOLE, NO_DATABASE, NO_WEB, NO_ROUTES, ...moduleOrder(name)),
    forbid(inModule(name, ROUTES), NOT_THE_CONSOLE, NO_DATABASE, ...moduleOrder(name)),
    forbid(inModule(name, STORES), NOT_THE_CONSOLE, NO_WEB, NO_SERVICE, ...moduleOrder(name)),
    forbid(inModule(name, 'module.ts'), NOT_THE_CONSOLE, ...moduleOrder(name)),
  ]),
  forbid(['platform/src/modules/secrets/*.ts'], NOT_THE_CONSOLE, NO_DATABASE, NO_WEB, NO_ROUTES),
  // Tests build what they need.
  { files: TESTS, rules: { 'no-restricted-imports': 'off' } },
  prettier,
  svelte.configs.prettier,
)
