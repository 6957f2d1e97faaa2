import { everyItem, type PlatformEvent } from '@fp/sdk/client'
import type { App, CreateAppBody, Template } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { rememberTry } from './try-it.svelte.ts'

/** The user's apps, as the API listed them last. */
class Apps {
  items = $state.raw<readonly App[] | undefined>()
  error = $state.raw<unknown>()

  /** The events of each load that is under way: its answer may be older than they are. */
  readonly #loads = new Set<PlatformEvent[]>()

  async load(): Promise<void> {
    const told: PlatformEvent[] = []
    this.#loads.add(told)
    try {
      const items: App[] = []
      for await (const app of everyItem<App>((cursor) => client.apps.list({ cursor, limit: 100 })))
        items.push(app)
      this.items = items
      this.error = undefined
      for (const event of told) this.#apply(event)
    } catch (error) {
      this.error = error
    } finally {
      this.#loads.delete(told)
    }
  }

  /** Takes over what the platform tells. */
  hear(event: PlatformEvent): void {
    if (event.name === 'reset') return void this.load()
    for (const told of this.#loads) told.push(event)
    this.#apply(event)
  }

  #apply(event: PlatformEvent): void {
    if (!this.items) return
    if (event.name === 'app.deleted') this.items = this.items.filter(({ app_id: id }) => id !== event.appId)
    if (event.name === 'app') this.items = withApp(this.items, event.app)
  }

  /** Makes an app of a template, or a blank one, and returns its id. */
  async create(name: string, template: Template | undefined): Promise<string> {
    const body: CreateAppBody = template ? { name, template_id: template.template_id } : { name, code: BLANK }
    const app = await client.apps.create(body)
    if (template) rememberTry(app.app_id, { path: template.try_path })
    return app.app_id
  }

  forget(): void {
    this.items = undefined
    this.error = undefined
  }
}

export const apps = new Apps()

/** The list with this app: in its place if it is known, else first. */
function withApp(items: readonly App[], app: App): readonly App[] {
  const isKnown = items.some(({ app_id: id }) => id === app.app_id)
  return isKnown ? items.map((item) => (item.app_id === app.app_id ? app : item)) : [app, ...items]
}

/** The code of a blank app. */
const BLANK = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"message": "Hello, world"}
`
