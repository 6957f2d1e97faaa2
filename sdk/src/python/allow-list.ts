/**
 * The part of Python 3.11's standard library that a web app can use. Left out:
 * - what loads code or native libraries from data: imp, runpy, zipimport, code, codeop, ctypes, marshal, pickle, shelve
 *   (unpickling runs code that the data names; json and orjson do the job);
 * - what belongs to the process, which is the platform's: fcntl, mmap, _thread, syslog, pwd;
 * - what needs a terminal or a screen: pdb, getpass, readline, curses, tkinter, cmd;
 * - servers of its own: socketserver, wsgiref, xmlrpc, cgi (the platform hands the app its socket); plain `socket` is allowed,
 *   for clients need it;
 * - dbm, which keeps databases in files of no sure format; sqlite3 is there for apps with storage, and local-files.ts warns the others;
 * - what Python itself has deprecated.
 * Modules that an app may name for a harmless part of them are allowed, among them `os`, `subprocess`, `multiprocessing`,
 * `signal` and `importlib`: what apps may not call of them is reported where it is called (blocked-calls.ts).
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

/** Of runner/requirements.in, and those of its dependencies that an app has a use for. */
const PACKAGES = [
  'annotated_types', 'anyio', 'bs4', 'bson', 'dateutil', 'dotenv', 'email_validator', 'fastapi', 'fastcore', 'fasthtml',
  'gridfs', 'httpx', 'itsdangerous', 'jinja2', 'lxml', 'markupsafe', 'mistletoe', 'monsterui', 'multipart', 'orjson',
  'pydantic', 'pydantic_core', 'pydantic_settings', 'pymongo', 'python_multipart', 'slack_sdk', 'starlette',
  'typing_extensions', 'uvicorn', 'websockets', 'yaml',
] // prettier-ignore

/** Top-level modules, or dotted ones such as `importlib.metadata`, that an app may import without asking. */
export const DEFAULT_ALLOWED_IMPORTS: readonly string[] = [...STANDARD_LIBRARY, ...PACKAGES]

export interface AllowList {
  /** Whether the module, or a package around it, is on the list. */
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
