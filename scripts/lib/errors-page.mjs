import { APP_FAILURES, CLIENT_ERRORS, POD_REFUSALS, REQUEST_ERRORS } from '../../sdk/src/errors/index.ts'

const INTRO = `# Error codes

<!-- Made from the table in sdk/src/errors by \`npm run errors\`. Do not edit this page. -->

Every error has a \`code\`, which never changes its meaning, and a \`message\`, which says what is wrong in this case and how to mend it. Programs match on the code.

The API and the platform's own pages answer errors as JSON: \`{"code", "message", "details", "request_id"}\`. The log of the platform has the same \`request_id\`.`

/** Title, text below it, rows. */
const SECTIONS = [
  [
    'Answers to requests',
    'Codes that the API answers with, and codes that visitors of an app get when the app itself cannot answer.',
    REQUEST_ERRORS,
  ],
  [
    'Failures of apps and deployments',
    'Why an app did not start, why it ended, or why a deployment failed: `failure.code` and `last_failure.code`, for its owner alone. Those with a status are answers to requests as well. Visitors of an app that did not start get 502 `FP_APP_CRASHED`; where the app is not at fault (¹) they get 503 `FP_UNAVAILABLE`.',
    APP_FAILURES,
  ],
  [
    'Errors of the client',
    'The client of the SDK throws these where it has no answer to read.',
    CLIENT_ERRORS,
  ],
  [
    'Answers of pods',
    'In a cluster, what a pod answers the platform before an app runs in it. They appear in logs only.',
    POD_REFUSALS,
  ],
]

/** The text of docs/errors.md. */
export function errorsPage() {
  const sections = SECTIONS.map(([title, text, table]) => `## ${title}\n\n${text}\n\n${tableOf(table)}`)
  return `${[INTRO, ...sections].join('\n\n')}\n`
}

function tableOf(table) {
  const rows = Object.entries(table).map(([code, info]) => [
    `\`${code}\`${info.isTemporary ? ' ¹' : ''}`,
    info.status ?? '–',
    info.owner,
    info.visitor ?? '–',
  ])
  return [
    ['Code', 'Status', 'What it means, and what to do', 'What visitors read'],
    Array(4).fill('---'),
    ...rows,
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}
