import { describe, expect, it } from 'vitest'
import { appUrl, ConfigError, loadConfig, withPort } from './config.ts'

const load = (env: Record<string, string> = {}) => loadConfig(env, { root: '/srv/fp', cwd: '/home/me' })

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    load(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('loadConfig', () => {
  it('needs no setting', () => {
    expect(load()).toMatchObject({
      port: 8080,
      hosts: ['127.0.0.1', '::1'],
      dataDir: '/srv/fp/.fp/data',
      mongodbUri: undefined,
      appDomain: 'localhost:8080',
      publicUrl: 'http://localhost:8080',
      secretKey: undefined,
      logLevel: 'info',
      allowUnsandboxed: false,
      python: '/srv/fp/.fp/venv/bin/python',
      idleTimeout: 900_000,
      responseTimeout: 300_000,
      allowedImports: [],
      consoleDir: '/srv/fp/console/build',
      signup: 'open',
      trustProxy: false,
      metricsToken: undefined,
      warnings: [],
    })
  })

  const key = Buffer.alloc(32, 7)
  it.each([
    ['FP_PORT', '9000', { port: 9000, appDomain: 'localhost:9000', publicUrl: 'http://localhost:9000' }],
    ['FP_PORT', '', { port: 8080 }],
    ['FP_HOST', '0.0.0.0', { hosts: ['0.0.0.0'] }],
    ['FP_HOST', '127.0.0.1, ::1', { hosts: ['127.0.0.1', '::1'] }],
    ['FP_DATA_DIR', 'data', { dataDir: '/home/me/data' }],
    ['FP_DATA_DIR', '/var/lib/fp', { dataDir: '/var/lib/fp' }],
    ['FP_MONGOD', '/opt/mongod', { mongodCandidates: ['/opt/mongod'] }],
    [
      'PATH',
      '/bin:/usr/bin',
      { mongodCandidates: ['/bin/mongod', '/usr/bin/mongod', '/srv/fp/.fp/mongod/bin/mongod'] },
    ],
    ['MONGODB_URI', 'mongodb://u:p@db:27017/fp', { mongodbUri: 'mongodb://u:p@db:27017/fp' }],
    ['APP_DOMAIN', 'Apps.Example.com', { appDomain: 'apps.example.com' }],
    ['APP_DOMAIN', 'localhost:80', { appDomain: 'localhost:80' }],
    ['PUBLIC_URL', 'https://fp.example.com/', { publicUrl: 'https://fp.example.com' }],
    ['FP_SECRET_KEY', key.toString('base64'), { secretKey: key }],
    ['FP_SECRET_KEY', key.toString('base64url'), { secretKey: key }],
    ['FP_LOG_LEVEL', 'DEBUG', { logLevel: 'debug' }],
    ['FP_ALLOW_UNSANDBOXED', '1', { allowUnsandboxed: true }],
    ['FP_ALLOW_UNSANDBOXED', 'false', { allowUnsandboxed: false }],
    ['FP_IDLE_TIMEOUT_S', '30', { idleTimeout: 30_000 }],
    ['FP_RESPONSE_TIMEOUT_S', '60', { responseTimeout: 60_000 }],
    ['FP_ALLOWED_IMPORTS', 'numpy, pandas,', { allowedImports: ['numpy', 'pandas'] }],
    ['FP_SIGNUP', 'closed', { signup: 'closed' }],
    ['FP_TRUST_PROXY', '10.0.0.0/8,::1', { trustProxy: ['10.0.0.0/8', '::1'] }],
    ['FP_METRICS_TOKEN', 'sixteen-letters!', { metricsToken: 'sixteen-letters!' }],
  ])('takes %s=%s', (name, value, expected) => {
    expect(load({ [name]: value })).toMatchObject(expected)
  })

  it.each([
    ['FP_PORT', 'http'],
    ['FP_PORT', '65536'],
    ['FP_PORT', '-1'],
    ['FP_PORT', '80.5'],
    ['FP_HOST', 'a b'],
    ['FP_HOST', ','],
    ['MONGODB_URI', 'localhost:27017'],
    ['APP_DOMAIN', 'http://example.com'],
    ['APP_DOMAIN', '-x.example.com'],
    ['APP_DOMAIN', 'localhost:99999'],
    ['PUBLIC_URL', 'fp.example.com'],
    ['PUBLIC_URL', 'https://example.com/fp'],
    ['PUBLIC_URL', 'ftp://example.com'],
    ['FP_SECRET_KEY', 'c2hvcnQ='],
    ['FP_SECRET_KEY', '!'.repeat(44)],
    ['FP_LOG_LEVEL', 'loud'],
    ['FP_ALLOW_UNSANDBOXED', 'maybe'],
    ['FP_IDLE_TIMEOUT_S', '1'],
    ['FP_ALLOWED_IMPORTS', 'numpy.linalg'],
    ['FP_SIGNUP', 'invite'],
    ['FP_TRUST_PROXY', 'everyone'],
    ['FP_METRICS_TOKEN', 'fifteen-letters'],
    ['FP_METRICS_TOKEN', 'with a space in between'],
  ])('refuses %s=%s and says what would be right', (name, value) => {
    expect(problemsOf({ [name]: value })).toEqual([expect.stringMatching(new RegExp(`^${name} is .*: set `))])
  })

  it('names every wrong value at once', () => {
    expect(problemsOf({ FP_PORT: 'x', PUBLIC_URL: 'y', FP_SIGNUP: 'z' })).toHaveLength(3)
  })

  it('does not repeat secrets', () => {
    const problems = problemsOf({
      FP_SECRET_KEY: 'hunter2',
      FP_METRICS_TOKEN: 'hunter2',
      MONGODB_URI: 'root:hunter2@db',
    })
    expect(problems).toHaveLength(3)
    expect(problems.join()).not.toContain('hunter2')
  })

  it('warns of names that are no settings', () => {
    expect(load({ FP_PROT: '1', FP_E2E_KUBECONFIG: 'x', OTHER: '1' }).warnings).toEqual([
      'FP_PROT is not a setting and is ignored. Did you mean FP_PORT?',
    ])
    expect(load({ FP_XYZZYXYZZY: '1' }).warnings).toEqual(['FP_XYZZYXYZZY is not a setting and is ignored.'])
  })
})

it('withPort fills in the port that was free', () => {
  const config = withPort(load({ FP_PORT: '0' }), 4321)
  expect(config).toMatchObject({
    port: 4321,
    appDomain: 'localhost:4321',
    publicUrl: 'http://localhost:4321',
  })
  expect(withPort(load({ FP_PORT: '0', APP_DOMAIN: 'a.example' }), 4321).appDomain).toBe('a.example')
})

it('appUrl takes the scheme of the public address', () => {
  expect(appUrl(load(), 'abc')).toBe('http://app-abc.localhost:8080')
  expect(appUrl(load({ PUBLIC_URL: 'https://fp.dev', APP_DOMAIN: 'fp.dev' }), 'abc')).toBe(
    'https://app-abc.fp.dev',
  )
})
