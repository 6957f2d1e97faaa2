import { fieldErrors } from '@fp/sdk/client'
import { goto } from '$app/navigation'
import { page } from '$app/state'
import { nextPage } from '#lib/ui/next-page.ts'

/** A form with one submit button: whether it is busy, the errors of its fields, and any other error. */
export class Form {
  busy = $state(false)
  error = $state.raw<unknown>()
  fields = $state.raw<Readonly<Record<string, string>>>({})

  async submit(event: SubmitEvent, send: () => Promise<void>): Promise<void> {
    event.preventDefault()
    if (this.busy) return
    const form = event.currentTarget as HTMLFormElement
    this.busy = true
    this.error = undefined
    this.fields = {}
    try {
      await send()
      await goto(nextPage(page.url.searchParams), { replace: true })
    } catch (error) {
      const fields = Object.fromEntries(
        fieldErrors(error).map(({ field, message }) => [field, sentence(message)]),
      )
      this.fields = fields
      if (Object.keys(fields).length === 0) this.error = error
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus())
    } finally {
      this.busy = false
    }
  }
}

/** The API writes messages that follow the name of a field ("must have …"). Here they stand alone. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
