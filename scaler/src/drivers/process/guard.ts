import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'

/**
 * A shell script, because a shell needs little memory and time, and Node cannot ask the kernel for a signal at the end of its
 * parent. It reads `+ <id>` and `- <id>` of process groups from a pipe. The pipe ends when the driver closes it or its process
 * ends, however that happens. All groups that are left then get SIGTERM and, after the time in $2 (tenths of a second), SIGKILL.
 *
 * On Linux it also ends all processes whose standard input is the file $1: a replica that had been started but not reported yet,
 * and descendants that have left their group. No start is missed: between fork and exec, the new process itself holds the pipe
 * open. At last the folder of that file is removed.
 */
const SCRIPT = `
trap '' HUP INT TERM
groups=' '
while read -r sign id; do
  part=" $id "
  case $sign in
    +) groups="$groups$id " ;;
    -) groups="\${groups%%$part*} \${groups#*$part}" ;;
  esac
done
find_left() {
  left=
  was=$groups
  groups=' '
  for id in $was; do
    kill -s 0 -- "-$id" 2>/dev/null && groups="$groups$id " && left="$left -$id"
  done
  for at in /proc/[0-9]*; do
    [ "$at/fd/0" -ef "$1" ] && left="$left \${at#/proc/}"
  done
  [ -n "$left" ]
}
find_left "$1" && kill -s TERM -- $left 2>/dev/null
tenths=$2
while find_left "$1" && [ "$tenths" -gt 0 ]; do sleep 0.1; tenths=$((tenths - 1)); done
[ -z "$left" ] || kill -s KILL -- $left 2>/dev/null
rm -rf "\${1%/*}"
`

/** Ends the processes of a driver if the process of the driver ends without having done so. */
export class Guard {
  /** The standard input of all replicas: an empty file by which the guard recognizes them. */
  readonly stdin: number
  readonly #file: string
  readonly #stopTimeout: number
  readonly #groups = new Set<number>()
  #shell: ChildProcess | undefined

  /** `folder` is removed when the guard ends. `stopTimeout`: ms from SIGTERM until SIGKILL. */
  constructor(folder: string, stopTimeout: number) {
    this.#file = join(folder, 'stdin')
    this.#stopTimeout = stopTimeout
    this.stdin = openSync(this.#file, constants.O_RDONLY | constants.O_CREAT, 0o400)
    this.#start()
  }

  /** Whether the guard ends the processes if this process ends now. */
  get watches(): boolean {
    return this.#shell !== undefined
  }

  add(group: number): void {
    this.#groups.add(group)
    // The guard was ended by somebody else.
    if (this.#shell) this.#tell(`+ ${group}\n`)
    else this.#start()
  }

  delete(group: number): void {
    if (this.#groups.delete(group)) this.#tell(`- ${group}\n`)
  }

  /** Resolves when the guard has ended. */
  async close(): Promise<void> {
    closeSync(this.stdin)
    const shell = this.#shell
    if (!shell) return
    shell.ref()
    const ended = once(shell, 'exit')
    shell.stdin!.end()
    await ended
  }

  #start(): void {
    const tenths = Math.ceil(this.#stopTimeout / 100)
    const shell = spawn('/bin/sh', ['-c', SCRIPT, 'scaler-guard', this.#file, String(tenths)], {
      cwd: '/',
      env: { PATH: process.env.PATH },
      stdio: ['pipe', 'ignore', 'ignore'],
      // A session of its own: it survives a signal to the group of this process, such as Ctrl-C.
      detached: true,
    })
    const ended = (): void => {
      if (this.#shell === shell) this.#shell = undefined
    }
    shell.once('error', ended).once('exit', ended)
    shell.stdin.on('error', ended)
    shell.unref()
    ;(shell.stdin as Writable & { unref(): void }).unref()
    if (shell.pid === undefined) return
    this.#shell = shell
    for (const group of this.#groups) this.#tell(`+ ${group}\n`)
  }

  /** A write to a pipe with room is carried out before this returns. */
  #tell(line: string): void {
    this.#shell?.stdin?.write(line)
  }
}
