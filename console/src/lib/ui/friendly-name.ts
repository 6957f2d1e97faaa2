const ADJECTIVES =
  'amber bold brave bright calm clever cosy eager fair fresh gentle golden happy keen lively lucky mellow mild neat nimble quick quiet rapid shiny silver sleepy snowy solid sunny swift tidy warm wise witty'.split(
    ' ',
  )
const NOUNS =
  'badger beacon birch brook cedar comet coral crane delta ember falcon fern finch fjord harbor heron island lagoon lantern maple meadow moon otter owl pine planet puffin raven reef river robin sparrow summit thistle tulip willow wren'.split(
    ' ',
  )

/** A random name for a new app, such as "quiet-otter". */
export function friendlyName(random: () => number = Math.random): string {
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)] ?? 'app'
  return `${pick(ADJECTIVES)}-${pick(NOUNS)}`
}
