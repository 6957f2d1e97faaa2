import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { KNOWN_MONITORS } from './known-monitors.ts'
import {
  answerFavicon,
  answerHead,
  answerHealthChecks,
  answerMonitors,
  answerPreflight,
  answerRobots,
  rejectAsleep,
  showLoadingPage,
} from './wake-policies.ts'
import type { WakeDecision, WakePolicy } from './wake.ts'

/** The decision of a policy on a request such as `GET /path`. */
function opinion(
  policy: WakePolicy,
  line: string,
  headers: IncomingHttpHeaders = {},
): WakeDecision | undefined {
  const [method, url] = line.split(' ')
  return policy({ method, url, headers } as IncomingMessage, { key: 'app', phase: 'asleep' })
}

describe('health checks', () => {
  test('are answered 200 at their usual paths, whatever the query', () => {
    for (const path of ['/healthz', '/health', '/livez?verbose', '/readyz']) {
      expect(opinion(answerHealthChecks(), `GET ${path}`)).toMatchObject({
        action: 'answer',
        statusCode: 200,
      })
      expect(opinion(answerHealthChecks(), `HEAD ${path}`)).toMatchObject({ statusCode: 200 })
    }
  })

  test('do not include other paths or other methods', () => {
    for (const line of ['GET /', 'GET /health/more', 'GET /?/healthz', 'POST /healthz'])
      expect(opinion(answerHealthChecks(), line)).toBeUndefined()
  })

  test('can have custom paths', () => {
    const policy = answerHealthChecks(['/up'])
    expect(opinion(policy, 'GET /up')).toBeDefined()
    expect(opinion(policy, 'GET /healthz')).toBeUndefined()
  })
})

test('HEAD is answered, GET is not', () => {
  expect(opinion(answerHead(), 'HEAD /')).toEqual({ action: 'answer', statusCode: 200 })
  expect(opinion(answerHead(), 'GET /')).toBeUndefined()
})

describe('preflights', () => {
  const asked = { origin: 'https://a.example', 'access-control-request-method': 'PUT' }
  const rules = { methods: ['GET', 'PUT'], headers: ['content-type'], maxAge: 600 }

  test('are answered with the permissions that the embedder configures', () => {
    expect(opinion(answerPreflight({ ...rules, origin: '*' }), 'OPTIONS /', asked)).toEqual({
      action: 'answer',
      statusCode: 204,
      headers: {
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'GET, PUT',
        'access-control-allow-headers': 'content-type',
        'access-control-max-age': '600',
      },
    })
  })

  test('of listed origins get their own origin in the response, and Vary for caches', () => {
    const policy = answerPreflight({ ...rules, origin: ['https://a.example', 'https://b.example'] })
    expect(opinion(policy, 'OPTIONS /', asked)).toMatchObject({
      headers: { 'access-control-allow-origin': 'https://a.example', vary: 'origin' },
    })
    expect(opinion(policy, 'OPTIONS /', { ...asked, origin: 'https://evil.example' })).toBeUndefined()
  })

  test('do not include plain OPTIONS or requests that only have an Origin', () => {
    const policy = answerPreflight({ ...rules, origin: '*' })
    expect(opinion(policy, 'OPTIONS /')).toBeUndefined()
    expect(opinion(policy, 'OPTIONS /', { origin: asked.origin })).toBeUndefined()
    expect(opinion(policy, 'PUT /', asked)).toBeUndefined()
  })
})

test('the favicon is answered with 204, which is not cacheable', () => {
  const headers = { 'cache-control': 'no-store' }
  expect(opinion(answerFavicon(), 'GET /favicon.ico?v=1')).toEqual({
    action: 'answer',
    statusCode: 204,
    headers,
  })
  expect(opinion(answerFavicon(), 'GET /favicon.png')).toBeUndefined()
})

test('robots.txt is answered with the given text', () => {
  const rules = 'User-agent: *\nDisallow: /\n'
  expect(opinion(answerRobots(rules), 'GET /robots.txt')).toMatchObject({ statusCode: 200, body: rules })
  expect(opinion(answerRobots(rules), 'GET /a/robots.txt')).toBeUndefined()
})

describe('monitors', () => {
  test.each([
    'Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)',
    'Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)',
    'Better Stack Better Uptime Bot Mozilla/5.0 (Windows NT 10.0; Win64; x64)',
    'HetrixTools Uptime Monitoring Bot. https://hetrix.tools/uptime-monitoring-bot.html',
    'Mozilla/5.0 (compatible; updown.io daemon 2.4)',
    'Checkly/1.0 (https://www.checklyhq.com)',
    'FreshpingBot/1.0 (+https://freshping.io/)',
    'Blackbox Exporter/0.25.0',
    'GoogleHC/1.0',
    'kube-probe/1.29',
    'ELB-HealthChecker/2.0',
    'Uptime-Kuma/1.23.16',
    'Datadog/Synthetics',
  ])('%s is recognized', (agent) => {
    expect(opinion(answerMonitors(), 'GET /', { 'user-agent': agent })).toMatchObject({ statusCode: 200 })
    expect(opinion(answerMonitors(), 'POST /', { 'user-agent': agent })).toBeUndefined()
  })

  test.each([
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'curl/8.5.0',
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'python-httpx/0.28.1',
    '',
  ])('%s is not recognized', (agent) => {
    expect(opinion(answerMonitors(), 'GET /', { 'user-agent': agent })).toBeUndefined()
  })

  test('can be configured, and can get another status', () => {
    const policy = answerMonitors({ agents: [...KNOWN_MONITORS, 'OurProbe'], statusCode: 503 })
    expect(opinion(policy, 'GET /', { 'user-agent': 'ourprobe/1' })).toMatchObject({ statusCode: 503 })
    expect(opinion(policy, 'GET /')).toBeUndefined()
  })
})

test('the loading page is sent only for page loads of a browser', () => {
  const policy = showLoadingPage()
  const accept = 'text/html,application/xhtml+xml'
  expect(opinion(policy, 'GET /', { accept })).toEqual({ action: 'page' })
  expect(opinion(policy, 'GET /', { accept, 'sec-fetch-mode': 'navigate' })).toEqual({ action: 'page' })
  expect(opinion(policy, 'GET /', { accept, 'sec-fetch-mode': 'cors' })).toBeUndefined()
  expect(opinion(policy, 'GET /', { accept: '*/*' })).toBeUndefined()
  expect(opinion(policy, 'GET /')).toBeUndefined()
  expect(opinion(policy, 'POST /', { accept })).toBeUndefined()
})

test('all remaining requests are rejected', () => {
  expect(opinion(rejectAsleep(), 'GET /')).toEqual({ action: 'reject' })
  expect(opinion(rejectAsleep({ retryAfter: 30 }), 'POST /')).toEqual({ action: 'reject', retryAfter: 30 })
})
