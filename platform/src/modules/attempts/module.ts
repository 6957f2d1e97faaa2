import { defineModule } from '../module.ts'
import { createAttemptStore } from './store.ts'

export const attemptsModule = defineModule({
  name: 'attempts',
  async start({ db }) {
    const attempts = createAttemptStore(db)
    await attempts.ensureIndexes()
    return { service: attempts }
  },
})
