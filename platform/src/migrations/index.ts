import type { Migration } from './migrate.ts'

/**
 * All changes of stored documents that the code relies on, oldest first. Add new ones at the end, and never change one that
 * was released. Indexes are not migrations: each store creates its own.
 */
export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    name: 'give apps, drafts and versions the fields that came after the first release',
    async up(db) {
      const fill = (collection: string, field: string, value: unknown): Promise<unknown> =>
        db.collection(collection).updateMany({ [field]: { $exists: false } }, { $set: { [field]: value } })
      await fill('apps', 'storage', false)
      await fill('apps', 'entrypoint', null)
      await fill('drafts', 'assets', [])
      await fill('drafts', 'assetsRevision', 0)
      await fill('versions', 'assets', [])
      // The only entrypoint that was possible then.
      await fill('versions', 'entrypoint', 'app.py')
    },
  },
]
