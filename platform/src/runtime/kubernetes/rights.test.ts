import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { loadAllYaml, type KubernetesObject, type V1Role } from '@kubernetes/client-node'
import { expect, it } from 'vitest'
import { RIGHTS } from './rights.ts'

const ROOT = path.resolve(import.meta.dirname, '../../../..')
const GROUPS: Readonly<Record<string, string>> = {
  deployments: 'apps',
  'deployments/scale': 'apps',
  endpointslices: 'discovery.k8s.io',
}
/** The requests of the scaler's driver (scaler/src/drivers/kubernetes), and the reading of logs. */
const OF_OTHERS = [
  'deployments list',
  'deployments watch',
  'pods list',
  'pods watch',
  'pods patch',
  'pods delete',
  'pods/log get',
  'deployments/scale patch',
  'endpointslices list',
  'endpointslices watch',
]
const VERB_OF: Readonly<Record<string, readonly string[]>> = {
  list: ['list'],
  get: ['get'],
  create: ['create'],
  patch: ['patch'],
  remove: ['delete'],
  path: ['list', 'watch'],
}

const table = Object.entries(RIGHTS).flatMap(([kind, verbs]) => verbs.map((verb) => `${kind} ${verb}`))

it('has the rights of the platform’s Role, no more and no fewer', async () => {
  const objects = loadAllYaml(
    await readFile(path.join(ROOT, 'deploy/base/rbac.yaml'), 'utf8'),
  ) as KubernetesObject[]
  const { rules } = objects.find(
    ({ kind, metadata }) => kind === 'Role' && metadata?.namespace === 'fp-apps',
  ) as V1Role
  const granted = rules!.flatMap(({ apiGroups, resources, verbs }) =>
    resources!.flatMap((resource) =>
      apiGroups!.flatMap((group) => verbs.map((verb) => `${group}/${resource} ${verb}`)),
    ),
  )
  const groupOf = (right: string): string => GROUPS[right.split(' ')[0]!] ?? ''
  expect(granted.sort()).toEqual(table.map((right) => `${groupOf(right)}/${right}`).sort())
})

it('has no right that no code uses', async () => {
  const names = await readdir(import.meta.dirname)
  const sources = await Promise.all(
    names
      .filter((name) => name.endsWith('.ts') && !name.includes('.test.'))
      .map((name) => readFile(path.join(import.meta.dirname, name), 'utf8')),
  )
  const code = sources.join('\n')
  const used = new Set(OF_OTHERS)
  const use = (method: string, kind: string): void =>
    VERB_OF[method]!.forEach((verb) => used.add(`${kind} ${verb}`))
  for (const [, method, kind] of code.matchAll(
    /store\s*\.(list|get|create|patch|remove|path)(?:<[^(]*>)?\('(\w+)'/g,
  ))
    use(method!, kind!)
  // The kinds that the reconciler follows.
  const [, followed] = /const KINDS: [^=]+= \[(.*)\]/.exec(code)!
  for (const [, kind] of followed!.matchAll(/'(\w+)'/g)) use('path', kind!)
  expect(table.filter((right) => !used.has(right))).toEqual([])
})
