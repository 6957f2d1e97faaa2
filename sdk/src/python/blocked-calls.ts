/** A function that code must not name. `path` is its full name; a `*` at the end matches any rest. */
export interface BlockedCall {
  readonly path: string
  readonly why: string
  readonly instead: string
}

const RUNS_TEXT = 'runs text as code, which hands your app to whoever sends the text'
const NO_PROCESSES = 'starts another program or process, which apps of fp may not'
const NO_TERMINAL = 'waits for a terminal, and a server has none: the request would hang'
const ENDS_APP = 'ends or signals processes, which the platform would take for a crash'
const ANY_MODULE = 'imports a module whose name is known only when it runs, past the check of imports'
const WORK = 'Call a Python function, or an HTTP API with httpx.'
const THREADS = 'Use asyncio.to_thread() or concurrent.futures.ThreadPoolExecutor.'
const RAISE = 'Raise an exception; the platform starts and stops the app.'

/**
 * The functions that the validator refuses by name. This protects against mistakes and pasted code. It is not a
 * security boundary, because Python has many other ways to reach the same functions. The sandbox is the security
 * boundary.
 */
export const BLOCKED_CALLS: readonly BlockedCall[] = [
  {
    path: 'builtins.eval',
    why: RUNS_TEXT,
    instead: 'Use json.loads() or ast.literal_eval() to read data.',
  },
  { path: 'builtins.exec', why: RUNS_TEXT, instead: 'Write the code as a function and call it.' },
  {
    path: 'builtins.compile',
    why: RUNS_TEXT,
    instead: 'Write the code as a function; for patterns it is re.compile().',
  },
  { path: 'builtins.__import__', why: ANY_MODULE, instead: 'Write an import statement.' },
  {
    path: 'builtins.input',
    why: NO_TERMINAL,
    instead: 'Take the value from the request: a parameter, the body or a form.',
  },
  { path: 'builtins.breakpoint', why: NO_TERMINAL, instead: 'Use print() or logging and read the logs.' },
  {
    path: 'importlib.import_module',
    why: ANY_MODULE,
    instead: 'Write the name as a text, import_module("package.module"), or an import statement.',
  },
  { path: 'importlib.__import__', why: ANY_MODULE, instead: 'Write an import statement.' },
  { path: 'importlib.reload', why: ANY_MODULE, instead: 'Deploy again to load new code.' },
  { path: 'os.system', why: NO_PROCESSES, instead: WORK },
  { path: 'os.popen', why: NO_PROCESSES, instead: WORK },
  { path: 'os.startfile', why: NO_PROCESSES, instead: WORK },
  { path: 'os.exec*', why: NO_PROCESSES, instead: WORK },
  { path: 'os.spawn*', why: NO_PROCESSES, instead: WORK },
  { path: 'os.posix_spawn*', why: NO_PROCESSES, instead: WORK },
  { path: 'os.fork*', why: NO_PROCESSES, instead: THREADS },
  { path: 'os.kill*', why: ENDS_APP, instead: RAISE },
  { path: 'os._exit', why: ENDS_APP, instead: RAISE },
  { path: 'os.abort', why: ENDS_APP, instead: RAISE },
  { path: 'posix.*', why: NO_PROCESSES, instead: WORK },
  { path: 'pty.*', why: NO_PROCESSES, instead: WORK },
  ...['run', 'call', 'check_call', 'check_output', 'getoutput', 'getstatusoutput', 'Popen'].map((name) => ({
    path: `subprocess.${name}`,
    why: NO_PROCESSES,
    instead: WORK,
  })),
  { path: 'webbrowser.open*', why: NO_PROCESSES, instead: WORK },
  { path: 'signal.raise_signal', why: ENDS_APP, instead: RAISE },
  { path: 'signal.pthread_kill', why: ENDS_APP, instead: RAISE },
  { path: 'asyncio.subprocess*', why: NO_PROCESSES, instead: WORK },
  { path: 'asyncio.create_subprocess_*', why: NO_PROCESSES, instead: WORK },
  ...['Process', 'Pool', 'Manager', 'get_context', 'pool.*', 'process.*', 'managers.*'].map((name) => ({
    path: `multiprocessing.${name}`,
    why: NO_PROCESSES,
    instead: THREADS,
  })),
  { path: 'concurrent.futures.ProcessPoolExecutor', why: NO_PROCESSES, instead: THREADS },
  { path: 'concurrent.futures.process.*', why: NO_PROCESSES, instead: THREADS },
]

const exact = new Map(
  BLOCKED_CALLS.filter(({ path }) => !path.endsWith('*')).map((call) => [call.path, call]),
)
/** By the first part of the path. Most names are in modules without such an entry. */
const prefixes = Map.groupBy(
  BLOCKED_CALLS.filter(({ path }) => path.endsWith('*')),
  ({ path }) => firstPart(path),
)

export function blockedCall(path: string): BlockedCall | undefined {
  return (
    exact.get(path) ?? prefixes.get(firstPart(path))?.find((call) => path.startsWith(call.path.slice(0, -1)))
  )
}

function firstPart(path: string): string {
  const dot = path.indexOf('.')
  return dot < 0 ? path : path.slice(0, dot)
}
