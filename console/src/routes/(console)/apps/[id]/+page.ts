import { ApiError } from '@fp/sdk/client'
import type { AppDetail } from '@fp/sdk/wire'
import { error } from '@sveltejs/kit'
import { client } from '#lib/api/client.ts'
import { session } from '#lib/state/session.svelte.ts'

export async function load({ params }: { params: { id: string } }): Promise<{ app: AppDetail }> {
  // The layout sends away who is not logged in; it loads beside this page, so wait for its answer.
  await session.find()
  try {
    return { app: await client.apps.get(params.id) }
  } catch (cause) {
    if (cause instanceof ApiError) error(cause.status || 503, cause.message)
    throw cause
  }
}
