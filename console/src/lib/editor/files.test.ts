import { expect, test } from 'vitest'
import { buildTree, renames, within, type TreeNode } from './file-tree.ts'
import { changedPaths, dropCopy, findCopy, keepCopy } from './local-copy.ts'
import { assetPathProblem, measure, pathProblem } from './paths.ts'

const PATHS = ['z.md', 'routers/users.py', 'app.py', 'routers/admin/keys.py', 'models.py', 'routers.py']

function outline(nodes: TreeNode[]): unknown[] {
  return nodes.map((node) => (node.kind === 'file' ? node.name : { [node.name]: outline(node.children) }))
}

test('the tree has app.py, then folders, then files', () => {
  expect(outline(buildTree(PATHS))).toEqual([
    'app.py',
    { routers: [{ admin: ['keys.py'] }, 'users.py'] },
    'models.py',
    'routers.py',
    'z.md',
  ])
})

test('a folder is renamed with everything in it, and no namesake', () => {
  expect([...renames(PATHS, 'routers', 'api/v1')]).toEqual([
    ['routers/users.py', 'api/v1/users.py'],
    ['routers/admin/keys.py', 'api/v1/admin/keys.py'],
  ])
  expect(within(PATHS, 'routers')).toEqual(['routers/users.py', 'routers/admin/keys.py'])
})

test.each([
  '',
  '../x.py',
  '/x.py',
  'a//b.py',
  'App.py',
  'templates/',
  'x.exe',
  '.env.py',
  'app.py',
  'app.py/x.py',
  'a\0.py',
  `${'x'.repeat(200)}.py`,
])('refuses the path %j', (path) => expect(pathProblem(path, PATHS)).toMatch(/\.|\w/))
test.each(['x.py', 'static/site.css', 'a/b/c-d_e.1.json', 'big file äö (1).txt'])(
  'takes the path %j',
  (path) => expect(pathProblem(path, PATHS)).toBeUndefined(),
)
test('an invalid name has a reason', () => {
  expect(pathProblem('/abs.csv', PATHS)).toMatch('begins with /')
  expect(pathProblem('templates/', PATHS)).toMatch('templates/index.html')
  expect(pathProblem('.env', PATHS)).toMatch('Environment')
  expect(pathProblem('Makefile', PATHS)).toMatch('has no extension')
  expect(assetPathProblem('big logo äö (1).png', PATHS)).toBeUndefined()
  expect(assetPathProblem('x.PY', PATHS)).toMatch('code')
})
test('a file cannot take the name of a folder', () => {
  expect(pathProblem('pages.html', ['pages.html/x.py'])).toMatch('a file and cannot be a folder')
})

test('counts bytes, not characters', () => {
  expect(measure({ 'app.py': 'é' })).toEqual({ files: 1, bytes: 2, problem: undefined })
  expect(measure({ 'app.py': 'é'.repeat(60_000) }).problem).toMatch('app.py is larger than 100 KB')
})

test('the copy on this device comes back until it is dropped or saved', () => {
  const kept = new Map<string, string>()
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  }
  const copy = { files: { 'app.py': 'new' }, revision: 3, at: 1 }
  expect(keepCopy(storage, 'a', copy)).toBe(true)
  expect(findCopy(storage, 'a', { 'app.py': 'old' })).toEqual(copy)
  expect(findCopy(storage, 'a', { 'app.py': 'new' })).toBeUndefined()
  kept.set('fp:unsaved:a', '{broken')
  expect(findCopy(storage, 'a', {})).toBeUndefined()
  dropCopy(storage, 'a')
  expect(kept.size).toBe(0)
})

test('names the files that differ', () => {
  expect(changedPaths({ a: '1', b: '2', c: '3' }, { a: '1', b: 'x', d: '4' })).toEqual(['b', 'c', 'd'])
})
