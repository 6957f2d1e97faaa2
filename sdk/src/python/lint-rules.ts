/**
 * The rules of ruff that find mistakes which break an app; no rules about style. Maps codes to names. Star imports
 * (F403, F405) are usual with FastHTML, so these rules are off.
 */
export const LINT_RULES: Readonly<Record<string, string>> = {
  F401: 'unused-import',
  F402: 'import-shadowed-by-loop-variable',
  F501: 'percent-format-invalid',
  F502: 'percent-format-expected-mapping',
  F503: 'percent-format-expected-sequence',
  F505: 'percent-format-missing-argument',
  F506: 'percent-format-mixed-placeholders',
  F507: 'percent-format-argument-count',
  F509: 'percent-format-unknown-character',
  F521: 'format-invalid',
  F524: 'format-missing-argument',
  F525: 'format-mixed-numbering',
  F601: 'repeated-dictionary-key',
  F602: 'repeated-dictionary-key',
  F631: 'assert-on-tuple',
  F632: 'is-literal',
  F633: 'invalid-print',
  F634: 'if-tuple',
  F722: 'annotation-syntax-error',
  F811: 'redefined-while-unused',
  F821: 'undefined-name',
  F822: 'undefined-export',
  F823: 'undefined-local',
  F841: 'unused-variable',
  F842: 'unused-annotation',
  F901: 'raise-not-implemented',
  B006: 'mutable-default',
  B015: 'pointless-comparison',
  B020: 'loop-variable-overrides-iterator',
  B023: 'loop-variable-in-function',
  B025: 'duplicate-except',
  B029: 'except-with-empty-tuple',
  ASYNC210: 'blocking-http-in-async-function',
  ASYNC251: 'blocking-sleep-in-async-function',
  RUF006: 'dangling-task',
  PLE0604: 'invalid-all-object',
  PLE1205: 'logging-too-many-arguments',
  PLE1206: 'logging-too-few-arguments',
}

/** Rules of ruff for code that Python itself does not compile. They are shown as syntax errors. */
export const SYNTAX_RULES: ReadonlySet<string> = new Set([
  'F404', 'F407', 'F622', 'F701', 'F702', 'F704', 'F706', 'F707', 'PLE0100', 'PLE0115', 'PLE0117', 'PLE0118', 'PLE1142',
]) // prettier-ignore

export const SELECTED_RULES: readonly string[] = [...Object.keys(LINT_RULES), ...SYNTAX_RULES]
