import type { ChangeStream, ChangeStreamDocument, Collection, Db, ObjectId } from 'mongodb'
import { after, follow, presentInstant } from './follow.ts'

/** One key of the register. */
export interface RegisterDoc {
  readonly _id: string
  /** Identifies this state. Never reused, not even when the document is removed and created again. */
  readonly state: ObjectId
  /** Grows with each state, from the document's creation to its removal. */
  readonly count: number
  /** JSON and not a subdocument: names of endpoints may contain dots and `$`, and the value is always read as a whole. */
  readonly value: string
}

export interface DocumentNews {
  /** Undefined: the document was removed. */
  onChange(key: string, found: RegisterDoc | undefined): void
  onError(error: Error): void
}

/**
 * Reports every document of the collection, then each change; changes of one key are reported in order. When the stream has
 * failed, the collection is read again, and the differences are reported. Resolves once the first reading is reported.
 */
export async function watchDocuments(
  db: Db,
  register: Collection<RegisterDoc>,
  news: DocumentNews,
): Promise<AsyncDisposable> {
  const known = new Map<string, RegisterDoc>()
  let over = false

  /** Reads the collection as of one instant and opens the stream of later changes. So no change is missed or reported twice. */
  async function open(): Promise<ChangeStream<RegisterDoc>> {
    // A snapshot cannot be read as of an instant at which the collection did not exist.
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
      // Does not look the document up: that would give the newest state, and older ones would be reported after it.
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
