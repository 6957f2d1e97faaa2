import { attemptsModule } from '../attempts/module.ts'
import { defineModule } from '../module.ts'
import { createLimiter } from './limiter.ts'
import { registerUserRoutes } from './routes.ts'
import { createUsersService } from './service.ts'
import { SessionStore } from './session-store.ts'
import { UserStore } from './store.ts'

export const usersModule = defineModule({
  name: 'users',
  async start({ db, use, passwords, settings, sessionCookie }) {
    const users = createUsersService({
      users: new UserStore(db),
      sessions: new SessionStore(db),
      limiter: createLimiter({ attempts: use(attemptsModule), signupsPerHour: settings.signupsPerHour }),
      passwords,
      signup: settings.signup,
    })
    await users.createIndexes()
    return {
      service: users,
      routes: (api) => registerUserRoutes(api, { users, cookie: sessionCookie }),
    }
  },
})
