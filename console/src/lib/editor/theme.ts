import type { editor as Editor } from 'monaco-editor/editor'

/** Monaco takes hex colours only, so the palette of app.css is repeated here. */
export function defineThemes(editor: typeof Editor): void {
  editor.defineTheme('fp-light', {
    base: 'vs',
    inherit: true,
    rules: rules({
      comment: '6b6e7a',
      keyword: '5753c6',
      string: '17794a',
      number: '995300',
      type: '0b63c9',
      text: '17181c',
    }),
    colors: {
      ...shared('#ffffff', '#17181c', '#5753c6', '#5a5d68'),
      'editorLineNumber.foreground': '#b3b5bf',
      'editorLineNumber.activeForeground': '#5a5d68',
      'editor.lineHighlightBackground': '#f6f6f9',
      'editorIndentGuide.background1': '#ececf0',
      'editorIndentGuide.activeBackground1': '#d5d5dd',
      'editorWidget.background': '#ffffff',
      'editorWidget.border': '#e7e7ec',
      'scrollbarSlider.background': '#17181c18',
    },
  })
  editor.defineTheme('fp-dark', {
    base: 'vs-dark',
    inherit: true,
    rules: rules({
      comment: '7f8392',
      keyword: 'a5a2ff',
      string: '7ed6a5',
      number: 'f0b75f',
      type: '7cc0ff',
      text: 'e4e4ea',
    }),
    colors: {
      ...shared('#111216', '#e4e4ea', '#a5a2ff', '#a2a5b2'),
      'editorLineNumber.foreground': '#474a57',
      'editorLineNumber.activeForeground': '#a2a5b2',
      'editor.lineHighlightBackground': '#17181d',
      'editorIndentGuide.background1': '#1f2027',
      'editorIndentGuide.activeBackground1': '#33353f',
      'editorWidget.background': '#17181d',
      'editorWidget.border': '#2a2c35',
      'scrollbarSlider.background': '#ffffff18',
    },
  })
}

function shared(background: string, text: string, accent: string, bracket: string): Record<string, string> {
  const brackets = [1, 2, 3].map((level) => [`editorBracketHighlight.foreground${level}`, bracket])
  return {
    ...Object.fromEntries(brackets),
    'editorBracketHighlight.unexpectedBracket.foreground': bracket,
    'editor.background': background,
    'editorGutter.background': background,
    'editor.foreground': text,
    'editorCursor.foreground': accent,
    'editor.selectionBackground': `${accent}38`,
    'editor.inactiveSelectionBackground': `${accent}20`,
    'editor.lineHighlightBorder': '#00000000',
    'editorOverviewRuler.border': '#00000000',
    'scrollbar.shadow': '#00000000',
    'widget.shadow': '#00000022',
    focusBorder: accent,
  }
}

function rules(
  ink: Record<'comment' | 'keyword' | 'string' | 'number' | 'type' | 'text', string>,
): Editor.ITokenThemeRule[] {
  const of = (tokens: string, foreground: string): Editor.ITokenThemeRule[] =>
    tokens.split(' ').map((token) => ({ token, foreground }))
  return [
    ...of('comment', ink.comment),
    ...of('keyword tag', ink.keyword),
    ...of('string attribute.value string.value.json', ink.string),
    ...of('number constant', ink.number),
    ...of('type attribute.name annotation string.key.json', ink.type),
    ...of('identifier delimiter operator', ink.text),
  ]
}
