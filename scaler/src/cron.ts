/** The minutes that match one cron pattern in one time zone. */
export interface CronMinutes {
  /** `at` in ms since 1970. */
  includes(at: number): boolean
}

const FIELDS = [
  { name: 'minute', from: 0, to: 59 },
  { name: 'hour', from: 0, to: 23 },
  { name: 'day of the month', from: 1, to: 31 },
  { name: 'month', from: 1, to: 12 },
  // 7 is Sunday as well.
  { name: 'day of the week', from: 0, to: 7 },
] as const

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/**
 * Parses a pattern of five cron fields with `*`, lists, ranges and steps (`1-5`, `0,30`, `9-17/2`). As in cron, if both the day
 * of the month and the day of the week are restricted, a day matches if either field does. Throws a RangeError that explains
 * what is wrong.
 */
export function cronMinutes(pattern: string, timeZone = 'UTC'): CronMinutes {
  const texts = pattern.trim().split(/\s+/)
  if (texts.length !== FIELDS.length)
    throw new RangeError(
      `"${pattern}" has ${texts.length} fields; cron has 5: ${FIELDS.map(({ name }) => name).join(', ')}`,
    )
  const sets = texts.map((text, index) => parseField(text, FIELDS[index]!))
  const [minutes, hours, days, months, weekdays] = sets as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ]
  if (weekdays.has(7)) weekdays.add(0)
  const eitherDay = texts[2] !== '*' && texts[4] !== '*'
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    minute: 'numeric',
    hour: 'numeric',
    day: 'numeric',
    month: 'numeric',
    weekday: 'short',
  })
  return {
    includes(at) {
      const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
      const day = days.has(Number(part['day']))
      const weekday = weekdays.has(WEEKDAYS.indexOf(part['weekday'] ?? ''))
      return (
        minutes.has(Number(part['minute'])) &&
        hours.has(Number(part['hour'])) &&
        months.has(Number(part['month'])) &&
        (eitherDay ? day || weekday : day && weekday)
      )
    },
  }
}

function parseField(text: string, field: (typeof FIELDS)[number]): Set<number> {
  const values = new Set<number>()
  for (const item of text.split(',')) {
    const match = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(item)
    const [, first, last, step = '1'] = match ?? []
    const from = first === undefined ? field.from : Number(first)
    // `5/10` means from 5 on, as in cron.
    const to = last !== undefined ? Number(last) : first === undefined || match?.[3] ? field.to : from
    if (!match || from < field.from || to > field.to || from > to || Number(step) < 1)
      throw new RangeError(
        `"${item}" is not a valid ${field.name}: use *, a number, a-b or */n from ${field.from} to ${field.to}`,
      )
    for (let value = from; value <= to; value += Number(step)) values.add(value)
  }
  return values
}
