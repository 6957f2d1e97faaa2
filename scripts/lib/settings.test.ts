import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ASSET_LIMITS, FILE_LIMITS, IDLE_TIMEOUT_S } from '../../sdk/src/wire/limits.ts'
import { ERRORS } from '../../sdk/src/errors/index.ts'
import { loadConfig, SETTING_NAMES } from '../../platform/src/config.ts'
import { MAX_DEPTH, MAX_VALUES } from '../../platform/src/json/bounds.ts'
import { BODY_LIMITS } from '../../platform/src/plugins/body-limits.ts'
import { inRoot } from './paths.mjs'
import { RUNNER_SETTINGS } from './runner-settings.mjs'

/** Set by the manifests, the image or the platform itself: an admin sets none of them. */
const OWN = ['FP_CONSOLE_DIR', 'FP_POD_NAME', 'FP_POD_NAMESPACE', 'FP_PYTHON', 'FP_ROLE', 'FP_RUNTIME']
/** Variables of tests, and of the machine that runs them. */
const OF_TESTS = /^FP_(E2E|BASE)_|^FP_CHROMIUM$/

const read = (file: string): string => readFileSync(inRoot(file), 'utf8')
const namesIn = (text: string): string[] => [...new Set(text.match(/\bFP_[A-Z0-9_]*[A-Z0-9]\b/g))]
const listed = (...patterns: string[]): string[] =>
  execFileSync('git', ['ls-files', '--', ...patterns], { cwd: inRoot(), encoding: 'utf8' })
    .trim()
    .split('\n')

const README = read('README.md')
const SELF_HOSTING = read('docs/self-hosting.md')

test('the list of settings has exactly the settings that are read', () => {
  const reads = ['config', 'config-kubernetes', 'egress'].flatMap((name) => [
    ...read(`platform/src/${name}.ts`).matchAll(/\b(?:read|file|request)\(\s*'(FP_\w+)'|env\['(FP_\w+)'\]/g),
  ])
  const names = new Set(reads.map(([, by, from]) => by ?? from!))
  expect([...names].sort()).toEqual([...SETTING_NAMES].sort())
})

test('documents, manifests and images name only existing settings and error codes', () => {
  const known = new Set([...SETTING_NAMES, ...RUNNER_SETTINGS, ...Object.keys(ERRORS)])
  const unknown = listed('*.md', 'deploy', 'Tiltfile', '*Dockerfile').flatMap((file) =>
    namesIn(read(file))
      .filter((name) => !known.has(name) && !OF_TESTS.test(name))
      .map((name) => `${file}: ${name}`),
  )
  expect(unknown).toEqual([])
})

test('each setting of an admin is documented', () => {
  const documented = new Set(namesIn(README + SELF_HOSTING))
  expect(SETTING_NAMES.filter((name) => !documented.has(name) && !OWN.includes(name))).toEqual([])
})

/** The defaults of a table: name → value as in the environment. Descriptions in place of a value are left out. */
function defaultsOf(markdown: string): [name: string, value: string][] {
  return [...markdown.matchAll(/^\| (`FP_[^|]*) \| ([^|]*) \|/gm)].flatMap(([, names = '', values = '']) => {
    const each = values.split(',')
    return namesIn(names)
      .map((name, n): [string, string] => [name, /^\s*`([^`<]+)`\s*$/.exec(each[n] ?? '')?.[1] ?? ''])
      .filter(([, value]) => value !== '' && !value.includes('/'))
  })
}

/** The settings of the manifests that every cluster has, with the minimum that an overlay adds. */
const CLUSTER = Object.fromEntries([
  ...[...read('deploy/base/kustomization.yaml').matchAll(/^ +- (FP_\w+)=(.*)$/gm)].map(([, name, value]) => [
    name,
    value,
  ]),
  ['MONGODB_URI', 'mongodb://db/fp'],
  ['FP_SECRET_KEY', Buffer.alloc(32).toString('base64')],
]) as Record<string, string>

const AT_CLUSTER = SELF_HOSTING.indexOf('### Settings of the cluster mode')
test.each([
  ['on one machine', {}, README + SELF_HOSTING.slice(0, AT_CLUSTER), 15],
  ['in a cluster', CLUSTER, SELF_HOSTING.slice(AT_CLUSTER), 8],
])('the defaults %s are as documented', (_, environment, markdown, atLeast) => {
  const defaults = defaultsOf(markdown)
  expect(defaults.length).toBeGreaterThan(atLeast)
  for (const [name, value] of defaults)
    expect(loadConfig({ ...environment, [name]: value }), `${name}=${value}`).toEqual(loadConfig(environment))
})

test('an admin may set the idle timeout that an owner may set', () => {
  const load = (seconds: number) => () => loadConfig({ FP_IDLE_TIMEOUT_S: String(seconds) })
  const { min, max } = IDLE_TIMEOUT_S
  expect([min, max].map((seconds) => load(seconds)().idleTimeout)).toEqual([min * 1000, max * 1000])
  for (const seconds of [min - 1, max + 1]) expect(load(seconds)).toThrow('FP_IDLE_TIMEOUT_S')
})

test('the limits in the documents are those of the code', () => {
  const kb = 1024
  const mb = 1024 * kb
  const { small, variables, files, call } = BODY_LIMITS
  expect(SELF_HOSTING).toContain(
    `| ${small / kb} KB | a body of the API; ${variables / mb} MB with variables, ${Math.round(files / mb)} MB with an app's files, ${call / kb} KB for a call`,
  )
  expect(SELF_HOSTING).toContain(`| ${MAX_VALUES.toLocaleString('en')}, ${MAX_DEPTH} deep | values in a body`)
  const decision = read('docs/decisions/0032-assets-are-kept-by-content.md')
  const { maxFiles, maxFileBytes, maxTotalBytes } = FILE_LIMITS
  expect(decision).toContain(
    `at most ${maxFiles}, ${maxFileBytes / kb} KB each, ${maxTotalBytes / kb} KB together`,
  )
  expect(decision).toContain(
    `at most ${ASSET_LIMITS.maxFiles}, ${ASSET_LIMITS.maxFileBytes / mb} MB each, ${ASSET_LIMITS.maxTotalBytes / mb} MB together`,
  )
})
