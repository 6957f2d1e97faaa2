import type { Activator, TargetKey } from '@fp/scaler'
import type { LoadingPage } from '@fp/scaler/http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { page } from './failures.ts'

/** A wake that is faster than this, in ms, shows no page. */
const PAGE_AFTER = 400
/** How often the page's event stream checks the wake, in ms. */
const LOOK_INTERVAL = 50

/** The path of the loading page's event stream. The ingress answers it on every app's host. */
export const WAKE_EVENTS_PATH = '/_fp/wake'

const SCRIPT = `const list=document.querySelector('ol');let shown=0;
const source=new EventSource('${WAKE_EVENTS_PATH}');
source.addEventListener('phases',(event)=>{for(const phase of JSON.parse(event.data).slice(shown)){shown++;
const row=document.createElement('li'),name=document.createTextNode(phase.name),at=document.createElement('span');
at.textContent=Math.round(phase.at)+' ms';row.append(name,at);list.append(row)}});
source.onerror=()=>{if(source.readyState===2)setTimeout(()=>location.reload(),2000)};
for(const end of ['awake','failed'])source.addEventListener(end,()=>{source.close();location.reload()});`

export const loadingPage: LoadingPage = {
  after: PAGE_AFTER,
  send(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const nonce = randomBytes(16).toString('base64')
    return reply
      .code(503)
      .headers({
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'retry-after': '1',
        'content-security-policy': `default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-${nonce}'; connect-src 'self'`,
      })
      .send(
        page(
          'Waking up',
          '<span class="moon">☾</span><h1>Waking up</h1><p>This app was asleep. It opens by itself.</p><ol></ol>',
          { nonce, text: SCRIPT },
        ),
      )
  },
}

/** The wake as server-sent events: `phases` whenever they change, then `awake` or `failed`. */
export async function* wakeEvents(
  activator: Activator,
  key: TargetKey,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let outcome: 'awake' | 'failed' | undefined
  const waking = activator.acquire(key, { signal }).then(
    (lease) => {
      outcome = 'awake'
      lease.release()
    },
    () => {
      outcome = 'failed'
    },
  )
  let told = ''
  while (!outcome) {
    const phases = JSON.stringify(activator.stats(key)?.phases ?? [])
    if (phases !== told) yield `event: phases\ndata: ${(told = phases)}\n\n`
    await Promise.race([waking, wait(LOOK_INTERVAL)])
  }
  yield `event: ${outcome}\ndata: {}\n\n`
}
