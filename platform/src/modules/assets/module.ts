import { defineModule } from '../module.ts'
import { createAssetService } from './service.ts'
import { BlobStore } from './store.ts'

export const assetsModule = defineModule({
  name: 'assets',
  async start({ db, now }) {
    const store = new BlobStore(db)
    await store.createIndexes()
    const assets = createAssetService({ store, now })
    return { service: assets, recover: () => assets.sweep() }
  },
})
