export { DEFAULT_ALLOWED_IMPORTS } from './allow-list.ts'
export { BLOCKED_CALLS, type BlockedCall } from './blocked-calls.ts'
export {
  entrypointFile,
  formatEntrypoint,
  MAX_ENTRYPOINT,
  parseEntrypoint,
  uvicornCommand,
  type Entrypoint,
} from './entrypoint.ts'
export { firstOfAll, MAX_FINDINGS } from './findings.ts'
export { LINT_RULES, SELECTED_RULES } from './lint-rules.ts'
export { createLinter, type PythonLinter, type RuffDiagnostic, type RuffModule } from './ruff.ts'
export { createParser, type PyNode, type PythonParser, type SyntaxTree } from './syntax.ts'
export {
  createValidator,
  type ValidateOptions,
  type Validation,
  type Validator,
  type ValidatorDeps,
} from './validator.ts'
export type { Finding } from '../wire/deployments.ts'
