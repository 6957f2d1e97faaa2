import { appRecordsModule } from '../app-records/module.ts'
import { assetsModule } from '../assets/module.ts'
import { defineModule } from '../module.ts'
import { registerAssetRoutes } from './asset-routes.ts'
import { createDraftAssetService } from './asset-service.ts'
import { registerDraftRoutes } from './routes.ts'
import { createDraftService } from './service.ts'
import { DraftStore } from './store.ts'

export const draftsModule = defineModule({
  name: 'drafts',
  async start({ db, now, use }) {
    const { apps } = use(appRecordsModule)
    const assets = use(assetsModule)
    const store = new DraftStore(db)
    await store.createIndexes()
    assets.referredToBy((blobs) => store.referenced(blobs))
    const drafts = createDraftService({ store, apps, assets, now })
    const draftAssets = createDraftAssetService({ store, apps, assets, now })
    return {
      service: drafts,
      routes(api) {
        registerDraftRoutes(api, { drafts })
        registerAssetRoutes(api, { draftAssets })
      },
    }
  },
})
