import { attemptsModule } from '../attempts/module.ts'
import { defineModule } from '../module.ts'
import { createLimiter } from './limiter.ts'
import { registerUserRoutes } from './routes.ts'
import { createUsersService } from './service.ts'
import { createSessionStore } from './session-store.ts'
import { createUserStore } from './store.ts'

export const usersModule = defineModule({
  name: 'users',
  async start({ db, use, passwords, settings, sessionCookie }) {
    const users = createUsersService({
      users: createUserStore(db),
      sessions: createSessionStore(db),
      limiter: createLimiter({ attempts: use(attemptsModule), signupsPerHour: settings.signupsPerHour }),
      passwords,
      signup: settings.signup,
    })
    await users.ensureIndexes()
    return {
      service: users,
      routes: (api) => registerUserRoutes(api, { users, cookie: sessionCookie }),
    }
  },
})
