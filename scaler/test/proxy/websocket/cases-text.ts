import type { Case } from './case.ts'
import { chop } from './cases-framing.ts'
import { CONTINUATION, frame, TEXT } from './frames.ts'

const INVALID_PAYLOAD = 1007

/** Valid UTF-8, from Markus Kuhn's stress test: every length and the ends of every range. */
const VALID = [
  'Hello-\xb5@\xdf\xf6\xe4\xfc\xe0\xe1-UTF-8!!',
  '\u03ba\u1f79\u03c3\u03bc\u03b5',
  '\u0000',
  '\u0080',
  '\u0800',
  '\u{10000}',
  '\u007f',
  '\u07ff',
  '\uffff',
  '\u{10ffff}',
  '\ud7ff',
  '\ue000',
  '\ufffd',
  '\ufffe',
  '\u{1fffe}',
  '\u{10fffe}',
  '\ufdd0',
  '\ufeff',
].map((text) => Buffer.from(text))

/** Not UTF-8, in hexadecimal: lone and missing continuations, overlong forms, surrogates, and what is above U+10FFFF. */
const INVALID = [
  'cebae1bdb9cf83cebceda080656469746564',
  'cebae1bdb9cf83cebcceb5f4908080656469746564',
  '80',
  'bf',
  '80bf',
  '80bf80',
  '80bf80bf80bf80',
  'c020',
  'c0',
  'e0',
  'f0',
  'f8',
  'fc',
  'c3',
  'e080',
  'f08080',
  'e180',
  'f18080',
  'dfe0',
  'fe',
  'ff',
  'fefeffff',
  'c0af',
  'e080af',
  'f08080af',
  'f8808080af',
  'fc80808080af',
  'c1bf',
  'e09fbf',
  'f08fbfbf',
  'f887bfbfbf',
  'fc83bfbfbfbf',
  'c080',
  'e08080',
  'f0808080',
  'f888808080',
  'fc8480808080',
  'f4908080',
  'f7bfbfbf',
  'fbbfbfbfbf',
  'fdbfbfbfbfbf',
  'eda080',
  'edadbf',
  'edae80',
  'edafbf',
  'edb080',
  'edbfbf',
  'eda080edb080',
  'edafbfedbfbf',
].map((hex) => Buffer.from(hex, 'hex'))

/** The same bytes as one frame, as fragments that cut characters apart, and octet by octet. */
const shapes = (bytes: Buffer): [string, Buffer[]][] => {
  const parts = bytes.length < 2 ? [bytes] : chop(bytes, 1)
  const fragments = parts.map((part, i) =>
    frame(i === 0 ? TEXT : CONTINUATION, part, { fin: i === parts.length - 1 }),
  )
  return [
    ['', [frame(TEXT, bytes)]],
    [' in fragments', fragments],
    [' by octets', chop(frame(TEXT, bytes), 1)],
  ]
}

/** 6: text must be UTF-8, wherever it is cut. */
export const UTF8: readonly Case[] = [
  { id: '6.1.1', send: [frame(TEXT)], answers: 1, code: 1000 },
  {
    id: '6.1.2',
    send: [frame(TEXT, '', { fin: false }), frame(CONTINUATION, '', { fin: false }), frame(CONTINUATION)],
    answers: 1,
    code: 1000,
  },
  {
    id: '6.1.3',
    send: [
      frame(TEXT, '', { fin: false }),
      frame(CONTINUATION, 'middle', { fin: false }),
      frame(CONTINUATION),
    ],
    answers: 1,
    code: 1000,
  },
  ...VALID.flatMap((bytes) =>
    shapes(bytes).map(([shape, send]) => ({
      id: `6 ${bytes.toString('hex')}${shape}`,
      send,
      answers: 1,
      code: 1000,
    })),
  ),
  ...INVALID.flatMap((bytes) =>
    shapes(bytes).map(([shape, send]) => ({
      id: `6 invalid ${bytes.toString('hex')}${shape}`,
      send,
      answers: 0,
      code: INVALID_PAYLOAD,
    })),
  ),
]
