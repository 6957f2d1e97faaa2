const HTTPX = 'use httpx'
const FASTAPI = 'write the API with FastAPI'
const MONGO = 'store data in MongoDB with pymongo; the platform sets PLATFORM_MONGO_URI'
const THREADS = 'use asyncio.to_thread() or concurrent.futures.ThreadPoolExecutor'
const NO_PROCESSES = 'apps cannot start programs; call a Python function, or an HTTP API with httpx'
const JSON = 'use json or orjson'
const NO_IMPORT = 'write import statements'
const NUMBERS = 'use math and statistics'
const TABLES = 'use csv, statistics and lists of dicts'
const PRINT = 'use logging and read the logs'

/** Replacements for modules that people and language models often import. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  requests: HTTPX, aiohttp: HTTPX, urllib3: HTTPX, httplib2: HTTPX, pycurl: HTTPX, grequests: HTTPX, treq: HTTPX,
  flask: FASTAPI, flask_cors: FASTAPI, django: FASTAPI, rest_framework: FASTAPI, bottle: FASTAPI, tornado: FASTAPI,
  sanic: FASTAPI, quart: FASTAPI, falcon: FASTAPI, litestar: FASTAPI, cherrypy: FASTAPI, aiohttp_cors: FASTAPI,
  streamlit: 'build the page with FastHTML', gradio: 'build the page with FastHTML', dash: 'build the page with FastHTML',
  gunicorn: 'the platform runs the app', hypercorn: 'the platform runs the app',
  aiosqlite: MONGO, sqlalchemy: MONGO, sqlmodel: MONGO, peewee: MONGO, psycopg: MONGO, psycopg2: MONGO,
  asyncpg: MONGO, pymysql: MONGO, mysql: MONGO, redis: MONGO, tinydb: MONGO, dbm: MONGO, shelve: MONGO, fastlite: MONGO,
  apsw: MONGO, tortoise: MONGO, databases: MONGO, duckdb: MONGO, diskcache: MONGO,
  motor: 'use AsyncMongoClient of pymongo', beanie: 'use AsyncMongoClient of pymongo with pydantic models',
  mongoengine: 'use pymongo with pydantic models', odmantic: 'use AsyncMongoClient of pymongo with pydantic models',
  numpy: NUMBERS, scipy: NUMBERS, sympy: NUMBERS, pandas: TABLES, polars: TABLES,
  ujson: JSON, simplejson: JSON, msgpack: JSON, pickle: JSON, cPickle: JSON, dill: JSON, cloudpickle: JSON,
  marshal: JSON, jsonpickle: JSON,
  pexpect: NO_PROCESSES, sh: NO_PROCESSES, psutil: NO_PROCESSES,
  joblib: THREADS, _thread: 'use threading',
  celery: 'use FastAPI BackgroundTasks or a trigger', rq: 'use FastAPI BackgroundTasks or a trigger',
  apscheduler: 'use a trigger', schedule: 'use a trigger', crontab: 'use a trigger',
  imp: NO_IMPORT, runpy: NO_IMPORT, zipimport: NO_IMPORT,
  code: 'write the code as a function', codeop: 'write the code as a function',
  socketserver: FASTAPI, wsgiref: FASTAPI, cgi: FASTAPI, xmlrpc: FASTAPI,
  getpass: 'take the value from the request or an environment variable',
  pdb: PRINT, ipdb: PRINT, bdb: PRINT, loguru: PRINT, structlog: PRINT, rich: PRINT,
  jwt: 'sign values with itsdangerous', jose: 'sign values with itsdangerous', passlib: 'use hashlib.scrypt()',
  bcrypt: 'use hashlib.scrypt()', crypt: 'use hashlib.scrypt()', argon2: 'use hashlib.scrypt()',
  cryptography: 'use hashlib, hmac and secrets', Crypto: 'use hashlib, hmac and secrets', nacl: 'use hashlib, hmac and secrets',
  pytz: 'use zoneinfo', tzlocal: 'use zoneinfo', arrow: 'use datetime and zoneinfo', pendulum: 'use datetime and zoneinfo',
  environ: 'use os.environ or pydantic_settings', decouple: 'use os.environ or pydantic_settings',
  toml: 'use tomllib', tomli: 'use tomllib', mako: 'use jinja2', attr: 'use dataclasses or pydantic',
  marshmallow: 'use pydantic', cerberus: 'use pydantic', markdown: 'use mistletoe', markdown2: 'use mistletoe',
  ctypes: 'apps are plain Python', cffi: 'apps are plain Python', mmap: 'read the file with open()',
  openai: 'call its HTTP API with httpx', anthropic: 'call its HTTP API with httpx', boto3: 'call its HTTP API with httpx',
  stripe: 'call its HTTP API with httpx', twilio: 'call its HTTP API with httpx', slack: 'use slack_sdk',
  slackclient: 'use slack_sdk', slack_bolt: 'use slack_sdk', tkinter: 'build the page with FastHTML',
} // prettier-ignore

export function alternativeTo(module: string): string | undefined {
  return Object.hasOwn(ALTERNATIVES, module) ? ALTERNATIVES[module] : undefined
}

/** The candidate that was most likely meant: at most two edits away, or one for short names. */
export function closest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > 80) return undefined
  const limit = name.length < 3 ? 0 : name.length < 6 ? 1 : 2
  let best: string | undefined
  let bestDistance = limit + 1
  for (const candidate of candidates) {
    if (candidate === name || Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance >= bestDistance) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/** The number of insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(replace, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
