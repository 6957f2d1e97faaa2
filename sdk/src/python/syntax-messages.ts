type Wording = readonly [pattern: RegExp, words: string]

/** Replaces ruff's messages about tokens with messages that tell a beginner what to type. The first match is used. */
const WORDINGS: readonly Wording[] = [
  [/^Expected `:`, found newline/, 'A `:` is missing at the end of this line.'],
  [/^Expected `:`, found `=`/, 'A comparison is written `==`; a single `=` is not allowed here.'],
  [/^Expected (`[)\]}]`), found .*/, 'A closing $1 is missing.'],
  [/^Expected `,`, found (.*)/, 'A `,` or a closing bracket is missing before $1.'],
  [/^Expected dedent, found end of file|^unindent does not match/, 'The indentation of this line fits none of the lines above.'],
  [/^Unexpected indentation/, 'This line is indented further than the lines it belongs to.'],
  [/^Expected an indented block after (.*)/, 'Indent the lines that belong to the $1 above.'],
  [/^missing closing quote in string literal/, 'The closing quote of this text is missing.'],
  [/^[ft]-string: unterminated/, 'The closing quote of this f-string is missing.'],
  [/^[ft]-string: expecting `}`/, 'A closing `}` is missing in this f-string.'],
  [/^unexpected EOF while parsing/, 'The file ends too early: a bracket, a quote or an indented block is still open.'],
  [/^Simple statements must be separated/, 'Two statements stand on one line: an operator, a comma, a bracket or a line break is missing.'],
  [/^Got unexpected token ([“”„‘’])/, 'Typographic quotes ($1) are no quotes in Python; write " or \'.'],
  [/^Got unexpected token\s*(\S+)/, 'The character $1 is not allowed here.'],
  [/^Got unexpected token/, 'An invisible character that Python does not allow stands here.'],
  [/^Expected one or more symbol names after import/, 'The names to import are missing after `import`.'],
  [/^Expected an expression/, 'A value is missing here.'],
  [/^Expected a statement/, 'Python does not expect this here.'],
  [/^Expected `except` or `finally` after `try` block/, 'A `try:` needs an `except:` or a `finally:`.'],
  [/^Invalid assignment target/, 'A value cannot be assigned to this.'],
  [/^Expected a parameter or the end of the parameter list/, 'A parameter name or the closing `)` is missing.'],
  [/^Cannot (.*) on Python ([\d.]+) \(syntax was added in Python ([\d.]+)\)/, 'Apps run on Python $2 and cannot $1: it came with Python $3.'],
  [/^`await` should be used within an async function/, '`await` only works inside an `async def` function.'],
  [/^`(\w+)` statement outside of a function/, '`$1` only works inside a function.'],
  [/^`(break|continue)` (?:outside|not properly in) loop/, '`$1` only works inside a loop.'],
  [/^Expected (.*), found (.*)/, 'Expected $1 here, found $2.'],
] // prettier-ignore

export function syntaxMessage(message: string, line: string): string {
  // `print "x"` is Python 2, which old books teach.
  if (/^\s*print\s+[^\s(=.,[:]/.test(line.slice(0, 500)) && message.startsWith('Simple statements')) {
    return 'print needs brackets: `print(…)`.'
  }
  for (const [pattern, words] of WORDINGS) {
    const match = pattern.exec(message)
    if (match) return words.replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '')
  }
  const sentence = message.charAt(0).toUpperCase() + message.slice(1)
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`
}
