// @ts-expect-error: plain JavaScript, for the Node that is there before the set-up
import { platformBuild } from '../../scripts/lib/platform-build.mjs'

/** End-to-end tests run what users run: the built platform. */
export async function setup(): Promise<void> {
  await (platformBuild as () => (() => Promise<void>) | undefined)()?.()
}
