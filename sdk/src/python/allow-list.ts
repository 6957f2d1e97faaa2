/**
 * The part of Python 3.11's standard library that a web app can use. These modules are left out:
 * - modules that load code or native libraries from data: imp, runpy, zipimport, code, codeop, ctypes, marshal, pickle,
 *   shelve (unpickling runs code that the data names; json and orjson can be used instead);
 * - modules for the process, which the platform controls: fcntl, mmap, _thread, syslog, pwd;
 * - modules that need a terminal or a screen: pdb, getpass, readline, curses, tkinter, cmd;
 * - servers: socketserver, wsgiref, xmlrpc, cgi (the platform gives the app its socket); plain `socket` is allowed, because
 *   clients need it;
 * - dbm, whose file format depends on the system; apps with storage can use sqlite3, and local-files.ts warns the others;
 * - modules that Python itself has deprecated.
 * Modules with a harmless part that apps may need are allowed, among them `os`, `subprocess`, `multiprocessing`, `signal`
 * and `importlib`. The calls that apps may not make are reported where they are made (blocked-calls.ts).
 */
const STANDARD_LIBRARY = [
  '__future__', 'abc', 'argparse', 'array', 'ast', 'asyncio', 'atexit', 'base64', 'binascii', 'bisect', 'builtins', 'bz2',
  'calendar', 'cmath', 'codecs', 'collections', 'colorsys', 'concurrent', 'configparser', 'contextlib', 'contextvars',
  'copy', 'csv', 'dataclasses', 'datetime', 'decimal', 'difflib', 'email', 'encodings', 'enum', 'errno', 'faulthandler', 'filecmp',
  'fnmatch', 'fractions', 'ftplib', 'functools', 'gc', 'getopt', 'gettext', 'glob', 'graphlib', 'gzip', 'hashlib', 'heapq',
  'hmac', 'html', 'http', 'imaplib', 'importlib', 'inspect', 'io', 'ipaddress', 'itertools',
  'json', 'keyword', 'linecache', 'locale', 'logging', 'lzma', 'math', 'mimetypes', 'multiprocessing', 'numbers', 'operator', 'optparse', 'os',
  'pathlib', 'pkgutil', 'platform', 'plistlib', 'poplib', 'posix', 'posixpath', 'pprint', 'pty', 'queue', 'quopri', 'random', 're', 'reprlib', 'resource', 'sched',
  'secrets', 'select', 'selectors', 'shlex', 'shutil', 'signal', 'smtplib', 'socket', 'sqlite3', 'ssl', 'stat', 'statistics', 'string',
  'stringprep', 'struct', 'subprocess', 'sys', 'sysconfig', 'tarfile', 'tempfile', 'textwrap', 'threading', 'time', 'timeit', 'token',
  'tokenize', 'tomllib', 'traceback', 'tracemalloc', 'types', 'typing', 'unicodedata', 'unittest', 'urllib', 'uuid',
  'warnings', 'wave', 'weakref', 'webbrowser', 'xml', 'zipfile', 'zlib', 'zoneinfo',
] // prettier-ignore

/** The packages of runner/requirements.in, and those of their dependencies that are useful for an app. */
const PACKAGES = [
  'annotated_types', 'anyio', 'bs4', 'bson', 'dateutil', 'dotenv', 'email_validator', 'fastapi', 'fastcore', 'fasthtml',
  'gridfs', 'httpx', 'itsdangerous', 'jinja2', 'lxml', 'markupsafe', 'mistletoe', 'monsterui', 'multipart', 'orjson',
  'pydantic', 'pydantic_core', 'pydantic_settings', 'pymongo', 'python_multipart', 'slack_sdk', 'starlette',
  'typing_extensions', 'uvicorn', 'websockets', 'yaml',
] // prettier-ignore

/** Top-level modules, or dotted ones such as `importlib.metadata`, that apps may import by default. */
export const DEFAULT_ALLOWED_IMPORTS: readonly string[] = [...STANDARD_LIBRARY, ...PACKAGES]

export interface AllowList {
  /** Whether the module, or a package that contains it, is on the list. */
  allows(module: string): boolean
  readonly names: ReadonlySet<string>
}

export function createAllowList(names: readonly string[]): AllowList {
  const allowed = new Set(names)
  return {
    names: allowed,
    allows(module) {
      for (let end = module.length; end > 0; end = module.lastIndexOf('.', end - 1)) {
        if (allowed.has(module.slice(0, end))) return true
      }
      return false
    },
  }
}
