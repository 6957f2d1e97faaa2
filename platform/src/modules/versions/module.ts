import { appRecordsModule } from '../app-records/module.ts'
import { assetsModule } from '../assets/module.ts'
import { defineModule } from '../module.ts'
import { registerVersionRoutes } from './routes.ts'
import { createVersionService } from './service.ts'
import { VersionStore } from './store.ts'

export const versionsModule = defineModule({
  name: 'versions',
  async start({ db, now, use }) {
    const { apps } = use(appRecordsModule)
    const assets = use(assetsModule)
    const store = new VersionStore(db)
    await store.createIndexes()
    assets.referredToBy((blobs) => store.referenced(blobs))
    const versions = createVersionService({ store, apps, assets, now })
    return { service: versions, routes: (api) => registerVersionRoutes(api, { versions }) }
  },
})
