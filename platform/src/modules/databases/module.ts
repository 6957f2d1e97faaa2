import { defineModule } from '../module.ts'
import { createSecretBox } from '../secrets/box.ts'
import { HARM_BOUNDS } from './harm.ts'
import { createMeter } from './meter.ts'
import { registerDatabaseRoutes } from './routes.ts'
import { createDatabaseService } from './service.ts'
import { DatabaseStore } from './store.ts'
import { fullText, roomText } from './usage.ts'
import { createWatcher } from './watcher.ts'

export const databasesModule = defineModule({
  name: 'databases',
  start({ db, client, events, leader, databaseSpilled, settings, secretKey, now, log }) {
    const { databaseLimitBytes: limitBytes } = settings
    const store = new DatabaseStore(db, client)
    const databases = createDatabaseService({
      store,
      box: createSecretBox(secretKey),
      now,
      limitBytes,
      mongoHost: settings.mongoHost,
      ...(settings.mongoOptions && { mongoOptions: settings.mongoOptions }),
    })
    const tellOwner = (userId: string, message: string): void =>
      void events.emit('database.notice', { userId, message })
    const meter = createMeter({
      databases: store,
      limitBytes,
      onChange: (userId, full, usage) => tellOwner(userId, full ? fullText(usage, limitBytes) : roomText),
      log,
    })
    const watcher = createWatcher({
      databases: store,
      ...(databaseSpilled && { spilled: databaseSpilled }),
      // Where MongoDB runs on another machine, the size of that machine's memory is not known.
      bounds: databaseSpilled ? HARM_BOUNDS : { ...HARM_BOUNDS, memory: Infinity },
      onManyFiles: meter.hurry,
      onEnded: tellOwner,
      log,
    })
    let measuring: AsyncDisposable | undefined
    return {
      service: databases,
      routes: (api) => registerDatabaseRoutes(api, { databases, databaseLimitBytes: limitBytes }),
      run() {
        measuring = leader.run('measure the databases', (signal) => meter.run(signal))
        watcher.start()
      },
      async close() {
        await Promise.all([measuring?.[Symbol.asyncDispose](), watcher.close()])
      },
    }
  },
})
