import { defineModule } from '../module.ts'
import { AttemptStore } from './store.ts'

export const attemptsModule = defineModule({
  name: 'attempts',
  async start({ db }) {
    const attempts = new AttemptStore(db)
    await attempts.createIndexes()
    return { service: attempts }
  },
})
