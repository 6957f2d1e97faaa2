import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { EXEC_ARGV } from '../platform/src/offload/worker.ts'
import { row, section } from './lib.ts'

/** The processor time of one validation of the largest drafts. Elapsed time would depend on other work of the machine. */
export async function benchValidation(): Promise<void> {
  section('Validation: processor time of one, in a process that has just started and then again')
  row('', 'first', 'again')
  const script = join(import.meta.dirname, 'validation-load.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [...EXEC_ARGV, script])
  for (const line of stdout.trim().split('\n')) {
    const [name = '', ...times] = line.split('\t')
    row(name, ...times.map((time) => `${time} ms`))
  }
}
