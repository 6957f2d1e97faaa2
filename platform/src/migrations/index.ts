import type { Migration } from './migrate.ts'

/**
 * Every change of stored documents that reading code relies on, oldest first. Add one at the end; never change one that was
 * released. Indexes are not migrations: each store makes its own.
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
      // The only entrypoint that there was.
      await fill('versions', 'entrypoint', 'app.py')
    },
  },
]
