import type { Finding } from '../wire/deployments.ts'
import { findingAt } from './findings.ts'
import type { PythonFile } from './python-file.ts'
import { childOf, stringValue, textOf, type PyNode } from './syntax.ts'

const RULE = 'local-file'
const INSTEAD =
  'Keep data in your database (PLATFORM_MONGO_URI), or turn on app storage in the settings and write to the folder os.environ["PLATFORM_DATA_DIR"].'

/** Functions that open a database file, with the name of the path's parameter. The path is also the first argument. */
const DATABASES: Readonly<Record<string, string>> = {
  'sqlite3.connect': 'database',
  'aiosqlite.connect': 'database',
  'fastlite.database': 'path',
  'fasthtml.common.database': 'path',
  'fasthtml.common.fast_app': 'db_file',
  'fasthtml.fastapp.fast_app': 'db_file',
  'sqlite_utils.Database': 'filename_or_conn',
}
const WRITES_PATH = new Set(['write_text', 'write_bytes'])
/**
 * The URLs of SQLAlchemy, databases and Tortoise: three slashes before a relative path, four before an absolute one.
 */
const SQLITE_URL = /^sqlite(?:\+\w+)?:\/\/\/?([^?]*)/i
const IN_MEMORY = /^(?:file:)?:memory:/
const WRITING = /[wax+]/

/**
 * Warns about files that an app writes to places that do not last. The app's own folder is read-only, and /tmp is
 * emptied by every sleep and deploy. Paths that are computed at run time are not checked.
 */
export function checkLocalFiles(file: PythonFile): Finding[] {
  const findings: Finding[] = []
  for (const node of file.tree.ofType('string', 'call')) {
    if (file.damage.isDamaged(node)) continue
    if (node.type === 'string') {
      const url = SQLITE_URL.exec(stringValue(file.tree, node) ?? '')
      if (url?.[1] && isUrl(node)) report(url[1], node)
    } else {
      checkCall(node)
    }
  }
  return findings

  function checkCall(call: PyNode): void {
    const callee = childOf(call, 'function')
    if (!callee) return
    const paths = file.resolver.paths(callee)
    const keyword = paths.map((path) => DATABASES[path]).find((name) => name !== undefined)
    if (keyword !== undefined) {
      const path = argument(call, 0, keyword)
      const text = stringValue(file.tree, path)
      if (path && text !== undefined && text !== '') report(text, path)
    } else if (paths.includes('builtins.open') || paths.includes('io.open')) {
      const mode = stringValue(file.tree, argument(call, 1, 'mode'))
      if (mode !== undefined && WRITING.test(mode)) scratch(argument(call, 0, 'file'))
    } else if (callee.type === 'attribute') {
      const method = childOf(callee, 'attribute')
      const object = childOf(callee, 'object')
      const maker = object?.type === 'call' ? childOf(object, 'function') : undefined
      if (!method || !object || !maker || !WRITES_PATH.has(textOf(file.tree, method))) return
      if (file.resolver.paths(maker).includes('pathlib.Path')) scratch(argument(object, 0, ''))
    }
  }

  /** Plain files are allowed in /tmp, which is for temporary files. */
  function scratch(path: PyNode | undefined): void {
    const text = stringValue(file.tree, path)
    if (path && text && !text.startsWith('/')) report(text, path)
  }

  function report(path: string, node: PyNode): void {
    if (IN_MEMORY.test(path)) return
    if (path.startsWith('/tmp/')) {
      const message = `${JSON.stringify(path)} lies in /tmp, which is emptied whenever the app sleeps, is deployed or restarts. ${INSTEAD}`
      findings.push(findingAt(file.source, node, RULE, message, 'warning'))
    } else if (!path.startsWith('/')) {
      const message = `${JSON.stringify(path)} lies in the app's own folder, which is read-only: writing fails, and no file of it outlives a deploy. ${INSTEAD}`
      findings.push(findingAt(file.source, node, RULE, message, 'warning'))
    }
  }

  function argument(call: PyNode, position: number, keyword: string): PyNode | undefined {
    const list = childOf(call, 'arguments')?.children.filter((child) => child.type !== 'comment') ?? []
    const named = list.find((child) => {
      const name = child.type === 'keyword_argument' ? childOf(child, 'name') : undefined
      return name && textOf(file.tree, name) === keyword
    })
    if (named) return childOf(named, 'value')
    const plain = list[position]
    // After a splat argument, the positions are unknown.
    const isPlain = !list.slice(0, position + 1).some((child) => /splat|keyword/.test(child.type))
    return isPlain ? plain : undefined
  }
}

/** Whether a string is used as a value. A string that is a statement is documentation. */
function isUrl(node: PyNode): boolean {
  return node.parent?.type !== 'expression_statement' && node.parent?.type !== 'concatenated_string'
}
