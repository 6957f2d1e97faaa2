import type { ChangeStream, ChangeStreamDocument, Collection, Db, ObjectId } from 'mongodb'
import { after, follow, presentInstant } from './follow.ts'

/** One key of the register. */
export interface RegisterDoc {
  readonly _id: string
  /** Of this very state: never used again, not even after the document was removed and made anew. */
  readonly state: ObjectId
  /** The greater is the newer, from the document's creation to its end. */
  readonly count: number
  /** JSON, not a document of its own: names of endpoints may hold dots and dollars, and it is always read as a whole. */
  readonly value: string
}

export interface DocumentNews {
  /** Undefined: the document is gone. */
  onChange(key: string, found: RegisterDoc | undefined): void
  onError(error: Error): void
}

/**
 * Tells every document of the collection, then each change, for one key in the order in which they were made. After a
 * break everything is read anew, and what differs is told. Resolves once the first reading is told.
 */
export async function watchDocuments(
  db: Db,
  register: Collection<RegisterDoc>,
  news: DocumentNews,
): Promise<AsyncDisposable> {
  const known = new Map<string, RegisterDoc>()
  let over = false

  /** The collection as it was at one instant, and the stream of what came after it: nothing is told twice or left out. */
  async function open(): Promise<ChangeStream<RegisterDoc>> {
    // There is no reading of an instant at which it was not there.
    await ensure(db, register.collectionName)
    const instant = await presentInstant(db)
    const documents = db.runCursorCommand({
      find: register.collectionName,
      readConcern: { level: 'snapshot', atClusterTime: instant },
    })
    const found = new Map<string, RegisterDoc>()
    for await (const document of documents) found.set(document['_id'] as string, document as RegisterDoc)
    for (const key of [...known.keys()]) if (!found.has(key)) tell(key, undefined)
    for (const [key, document] of found) {
      if (!known.get(key)?.state.equals(document.state)) tell(key, document)
    }
    return register.watch<RegisterDoc>([], { startAtOperationTime: after(instant) })
  }

  function tell(key: string, document: RegisterDoc | undefined): void {
    if (over) return
    if (document) known.set(key, document)
    else known.delete(key)
    news.onChange(key, document)
  }

  function onChange(change: ChangeStreamDocument<RegisterDoc>): void {
    if (change.operationType === 'insert' || change.operationType === 'replace') {
      tell(change.documentKey._id, change.fullDocument)
    } else if (change.operationType === 'update') {
      // Not by looking the document up: that would be the newest, and what was before it would be told after it.
      const { _id: key } = change.documentKey
      tell(key, { ...known.get(key)!, ...change.updateDescription.updatedFields })
    } else if (change.operationType === 'delete') {
      tell(change.documentKey._id, undefined)
    }
  }

  const following = await follow<RegisterDoc>({ open, onChange, onError: (error) => news.onError(error) })
  return {
    async [Symbol.asyncDispose]() {
      over = true
      await following[Symbol.asyncDispose]()
    },
  }
}

async function ensure(db: Db, collection: string): Promise<void> {
  await db.createCollection(collection).catch((error: Error & { codeName?: string }) => {
    if (error.codeName !== 'NamespaceExists') throw error
  })
}
