import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

interface Manifest {
  readonly engines: { readonly node: string }
  readonly exports: Readonly<Record<string, string | { readonly '@fp/source': string }>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
}

const PACKAGE = join(import.meta.dirname, '..')
const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8')
const manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Manifest

test('the README has a row for each import', () => {
  const rows = [...readme.matchAll(/^\| `(@fp\/scaler[a-z/]*)` \|/gm)].map(([, name]) => name)
  expect(rows.sort()).toEqual(
    Object.keys(manifest.exports)
      .filter((subpath) => subpath !== './package.json')
      .map((subpath) => subpath.replace('.', '@fp/scaler'))
      .sort(),
  )
})

test('package.json can be read, for example by tools that look for the version', () => {
  expect(manifest.exports['./package.json']).toBe('./package.json')
})

test('`/kubernetes` exports what the README promises and no more', async () => {
  const module = (await import('../src/drivers/kubernetes/index.ts')) as object
  const text = /The modules of the driver are exported[^]*?\n\n/.exec(readme)![0]
  const promised = [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name!)
  expect(Object.keys(module).sort()).toEqual([...promised, 'createKubernetesDriver'].sort())
})

test('the README names the only dependency, and how to install each of the optional ones', () => {
  expect(Object.keys(manifest.dependencies)).toEqual(['p-queue'])
  expect(readme).toContain('The only dependency is p-queue')
  const installed = [...readme.matchAll(/^npm install (.*?)(?: +#.*)?$/gm)].flatMap(([, names]) =>
    names!.split(' '),
  )
  const peers = Object.keys(manifest.peerDependencies)
  expect([...new Set(installed)].sort()).toEqual(['@fp/scaler', ...peers].sort())
  expect(peers.every((name) => manifest.peerDependenciesMeta[name]?.optional)).toBe(true)
})

test('the README and package.json name the same version of Node, and no dependency needs a newer one', async () => {
  const least = /^>=([\d.]+)$/.exec(manifest.engines.node)![1]!
  expect(readme).toContain(`Node ${least} or newer`)
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const text = await readFile(join(PACKAGE, '../node_modules', name, 'package.json'), 'utf8')
    const { engines } = JSON.parse(text) as Partial<Manifest>
    const needed = /^>=\s*([\d.]+)/.exec(engines?.node ?? '>=0')?.[1]
    expect(needed, `${name} needs ${engines?.node}`).toBeDefined()
    expect(compare(needed!, least), `${name} needs ${engines?.node}`).toBeLessThanOrEqual(0)
  }
})

function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number))
  for (let at = 0; at < 3; at++) if ((x![at] ?? 0) !== (y![at] ?? 0)) return (x![at] ?? 0) - (y![at] ?? 0)
  return 0
}
