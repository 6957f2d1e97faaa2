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
      zygote: true,
      python: '/srv/fp/.fp/venv/bin/python',
      idleTimeout: 900_000,
      responseTimeout: 300_000,
      databaseMb: 512,
      storageMb: 100,
      databaseConnections: 128,
      allowedImports: [],
      egress: { mode: 'internet', allowed: [], addresses: undefined },
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
    ['FP_MONGOD', '/opt/mongod', { mongod: { candidates: ['/opt/mongod'], chosen: true } }],
    [
      'PATH',
      '/bin:/usr/bin',
      {
        mongod: {
          candidates: [
            '/bin/mongod',
            '/usr/bin/mongod',
            '/srv/fp/.fp/mongodb-download/bin/mongod',
            '/srv/fp/.fp/mongodb/bin/mongod',
          ],
          chosen: false,
        },
      },
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
    ['FP_ZYGOTE', 'off', { zygote: false }],
    ['FP_IDLE_TIMEOUT_S', '30', { idleTimeout: 30_000 }],
    ['FP_RESPONSE_TIMEOUT_S', '60', { responseTimeout: 60_000 }],
    ['FP_DATABASE_MB', '64', { databaseMb: 64 }],
    ['FP_STORAGE_MB', '64', { storageMb: 64 }],
    ['FP_DATABASE_CONNECTIONS', '20', { databaseConnections: 20 }],
    ['FP_ALLOWED_IMPORTS', 'numpy, pandas,', { allowedImports: ['numpy', 'pandas'] }],
    ['FP_EGRESS', 'NONE', { egress: { mode: 'none', allowed: [], addresses: undefined } }],
    ['FP_EGRESS_ALLOWED', '10.0.0.0/8:53', { egress: { allowed: [{ network: '10.0.0.0/8', port: 53 }] } }],
    ['FP_APP_NETWORK', '10.9.0.0/16', { egress: { addresses: '10.9.0.0/16' } }],
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
    ['FP_EGRESS', 'some'],
    ['FP_EGRESS_ALLOWED', 'everything!'],
    ['FP_APP_NETWORK', '10.9.0.1/16'],
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

  it('refuses an empty list, and a list that has no effect', () => {
    expect(problemsOf({ FP_EGRESS: 'list' })).toEqual([expect.stringContaining('set FP_EGRESS_ALLOWED')])
    expect(problemsOf({ FP_EGRESS: 'none', FP_EGRESS_ALLOWED: 'db:1' })).toEqual([
      expect.stringContaining('set FP_EGRESS=list'),
    ])
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

  it('warns of names that are not settings', () => {
    const ofTests = { FP_E2E_KUBECONFIG: 'x', FP_BASE_IMAGE: 'x', FP_CHROMIUM: 'x' }
    expect(load({ FP_PROT: '1', ...ofTests, OTHER: '1' }).warnings).toEqual([
      'FP_PROT is not a setting and is ignored. Did you mean FP_PORT?',
    ])
    expect(load({ FP_XYZZYXYZZY: '1' }).warnings).toEqual(['FP_XYZZYXYZZY is not a setting and is ignored.'])
  })
})

describe('the settings for Kubernetes', () => {
  const CLUSTER = {
    FP_RUNTIME: 'kubernetes',
    FP_RUNNER_IMAGE: 'registry.example.com:5000/fp/runner:1.0',
    MONGODB_URI: 'mongodb://db/fp',
    FP_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
  }
  const kubernetes = (env: Record<string, string> = {}) => load({ ...CLUSTER, ...env }).kubernetes!

  it('need three settings and no others', () => {
    expect(kubernetes()).toEqual({
      namespace: 'fp-apps',
      runnerImage: 'registry.example.com:5000/fp/runner:1.0',
      poolSize: 3,
      maxReplicas: 1,
      runtimeClass: undefined,
      allowUnsandboxed: false,
      mongodbHost: undefined,
      storageClass: undefined,
      storageSize: '100Mi',
      resources: { cpuRequest: '50m', cpuLimit: undefined, memoryRequest: '64Mi', memoryLimit: '512Mi' },
    })
  })

  it.each(['MONGODB_URI', 'FP_SECRET_KEY', 'FP_RUNNER_IMAGE'])('is refused without %s', (name) => {
    const line = `${name} is not set: FP_RUNTIME=kubernetes needs it`
    expect(problemsOf({ ...CLUSTER, [name]: '' })).toEqual([line])
    expect(problemsOf({ ...CLUSTER, [name]: ' ' })).toEqual([line])
    const { [name as keyof typeof CLUSTER]: _, ...rest } = CLUSTER
    expect(problemsOf(rest)).toEqual([line])
  })

  it('reports a wrong setting as wrong, and not also as missing', () => {
    expect(problemsOf({ ...CLUSTER, FP_RUNNER_IMAGE: 'No Image' })).toEqual([
      'FP_RUNNER_IMAGE is "No Image": set the name of the image that runs apps, such as fp/runner:1.0',
    ])
    expect(problemsOf({ FP_RUNTIME: 'kubernetes' })).toHaveLength(3)
  })

  it.each(['local', 'LOCAL', ''])('demands nothing with FP_RUNTIME=%s', (runtime) => {
    const others = { FP_POOL_SIZE: 'many', FP_APP_MEMORY: 'much' }
    expect(load({ FP_RUNTIME: runtime }).kubernetes).toBeUndefined()
    expect(load({ FP_RUNTIME: runtime, ...others })).toMatchObject({ kubernetes: undefined, warnings: [] })
  })

  it.each([
    ['FP_RUNTIME', 'Kubernetes', {}],
    ['FP_KUBE_NAMESPACE', 'apps-2', { namespace: 'apps-2' }],
    [
      'FP_RUNNER_IMAGE',
      `fp/runner@sha256:${'0'.repeat(64)}`,
      { runnerImage: `fp/runner@sha256:${'0'.repeat(64)}` },
    ],
    ['FP_RUNNER_IMAGE', 'localhost:5000/fp_1:V2', undefined],
    ['FP_RUNNER_IMAGE', 'runner', undefined],
    ['FP_POOL_SIZE', '0', { poolSize: 0 }],
    ['FP_POOL_SIZE', '1000', { poolSize: 1_000 }],
    ['FP_RUNTIME_CLASS', 'gvisor', { runtimeClass: 'gvisor' }],
    ['FP_APP_MAX_REPLICAS', '5', { maxReplicas: 5 }],
    ['FP_APP_MONGODB_HOST', 'db.fp-system.svc:27018', { mongodbHost: 'db.fp-system.svc:27018' }],
    ['FP_STORAGE_CLASS', 'fast.example', { storageClass: 'fast.example' }],
    ['FP_STORAGE_MB', '1000', { storageSize: '1000Mi' }],
    ['FP_ALLOW_UNSANDBOXED', '1', { allowUnsandboxed: true }],
    ['FP_APP_CPU_REQUEST', '100m', { resources: { cpuRequest: '100m' } }],
    ['FP_APP_CPU_REQUEST', '0.25', { resources: { cpuRequest: '0.25' } }],
    ['FP_APP_CPU_LIMIT', '2', { resources: { cpuLimit: '2', cpuRequest: '50m' } }],
    ['FP_APP_CPU_LIMIT', '20m', { resources: { cpuLimit: '20m', cpuRequest: '20m' } }],
    ['FP_APP_MEMORY', '1Gi', { resources: { memoryLimit: '1Gi', memoryRequest: '64Mi' } }],
    ['FP_APP_MEMORY', '32Mi', { resources: { memoryLimit: '32Mi', memoryRequest: '32Mi' } }],
    ['FP_APP_MEMORY', '536870912', { resources: { memoryLimit: '536870912' } }],
    ['FP_APP_MEMORY_REQUEST', '128M', { resources: { memoryRequest: '128M' } }],
    ['FP_APP_MEMORY_REQUEST', '0.5Gi', { resources: { memoryRequest: '0.5Gi' } }],
  ])('takes %s=%s', (name, value, expected) => {
    expect(kubernetes({ [name]: value })).toMatchObject(expected ?? { runnerImage: value })
  })

  it.each([
    ['FP_RUNTIME', 'docker'],
    ['FP_KUBE_NAMESPACE', 'Apps'],
    ['FP_KUBE_NAMESPACE', 'fp.apps'],
    ['FP_KUBE_NAMESPACE', 'a'.repeat(64)],
    ['FP_RUNNER_IMAGE', 'https://example.com/image'],
    ['FP_RUNNER_IMAGE', 'an image'],
    ['FP_RUNNER_IMAGE', 'fp/Runner'],
    ['FP_RUNNER_IMAGE', 'fp/runner@sha256:12'],
    ['FP_POOL_SIZE', '-1'],
    ['FP_POOL_SIZE', '1001'],
    ['FP_POOL_SIZE', '2.5'],
    ['FP_RUNTIME_CLASS', 'g visor'],
    ['FP_APP_MONGODB_HOST', 'db.fp-system.svc'],
    ['FP_APP_MONGODB_HOST', 'db:99999'],
    ['FP_STORAGE_CLASS', 'Fast'],
    ['FP_APP_CPU_REQUEST', '0'],
    ['FP_APP_CPU_REQUEST', '512Mi'],
    ['FP_APP_CPU_REQUEST', '0.5m'],
    ['FP_APP_CPU_LIMIT', 'all'],
    ['FP_APP_CPU_LIMIT', '-1'],
    ['FP_APP_MEMORY', '512'],
    ['FP_APP_MEMORY', '512m'],
    ['FP_APP_MEMORY', '512MB'],
    ['FP_APP_MEMORY', '1gi'],
    ['FP_APP_MEMORY', '8Mi'],
    ['FP_APP_MEMORY_REQUEST', 'much'],
    ['FP_APP_MEMORY_REQUEST', '1 Gi'],
  ])('refuses %s=%s and says what would be right', (name, value) => {
    expect(problemsOf({ ...CLUSTER, [name]: value })).toEqual([
      expect.stringMatching(new RegExp(`^${name} is .*: set `)),
    ])
  })

  it('refuses values with which no pod could be created', () => {
    expect(problemsOf({ ...CLUSTER, FP_APP_MEMORY: '1G', FP_APP_MEMORY_REQUEST: '1Gi' })).toEqual([
      'FP_APP_MEMORY_REQUEST is "1Gi": set no more than FP_APP_MEMORY, which is "1G"',
    ])
    expect(problemsOf({ ...CLUSTER, FP_APP_MEMORY_REQUEST: '513Mi' })).toHaveLength(1)
    expect(problemsOf({ ...CLUSTER, FP_APP_CPU_LIMIT: '0.5', FP_APP_CPU_REQUEST: '501m' })).toEqual([
      'FP_APP_CPU_REQUEST is "501m": set no more than FP_APP_CPU_LIMIT, which is "0.5"',
    ])
    expect(problemsOf({ ...CLUSTER, FP_APP_CPU_LIMIT: '0.5', FP_APP_CPU_REQUEST: '500m' })).toEqual([])
  })
})

it('withPort sets the port that was free', () => {
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
