import { existsSync, writeFileSync } from 'node:fs'
import type { JobMessage } from '../src/offload/protocol.ts'

/** Stands in for `offload/child.ts`: the password or the code of app.py says how to behave. */
process.on('disconnect', () => process.exit(0))
process.on('message', ({ id, job, input }: JobMessage) => {
  const order = 'files' in input ? (input.files['app.py'] ?? '') : 'password' in input ? input.password : ''
  const [word = '', file = ''] = order.split(' ')
  if (word === 'crash') process.kill(process.pid, 'SIGKILL')
  if (word === 'crash-once' && !existsSync(file)) {
    writeFileSync(file, '')
    process.kill(process.pid, 'SIGKILL')
  }
  if (word === 'hang') for (;;);
  if (word === 'throw') process.send?.({ id, ok: false, message: 'thrown' })
  else if (word !== 'silent') process.send?.({ id, ok: true, output: `${job} in ${process.pid}` })
})
