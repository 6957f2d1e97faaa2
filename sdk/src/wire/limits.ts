// The platform enforces these limits, and clients read them here to warn before they send.

/** Limits of an app's text files. */
export const FILE_LIMITS = {
  maxFiles: 50,
  maxFileBytes: 100 * 1024,
  maxTotalBytes: 500 * 1024,
  maxPathLength: 200,
  extensions: [
    '.py',
    ...['.css', '.js', '.mjs', '.svg', '.html', '.json', '.txt', '.md'],
    ...['.csv', '.tsv', '.xml', '.yaml', '.yml', '.toml', '.ini', '.sql', '.jinja', '.jinja2', '.j2'],
  ],
} as const

/** Limits of an app's assets: files of any content that are kept as bytes, beside the text files of FILE_LIMITS. */
export const ASSET_LIMITS = {
  maxFiles: 200,
  maxFileBytes: 2 * 1024 * 1024,
  maxTotalBytes: 20 * 1024 * 1024,
  /** All apps of a user, kept versions included. Equal contents count once. */
  maxUserBytes: 200 * 1024 * 1024,
  /** One upload request: all assets of an app, and the multipart headers. */
  maxUploadBytes: 21 * 1024 * 1024,
  /** Python would run these. Source code must be saved as a file, which is validated. Compiled code is not allowed. */
  refusedExtensions: ['.py', '.pyc', '.pyd', '.pyi', '.pth', '.so'],
} as const

/** Limits of an app's environment variables. */
export const ENV_LIMITS = {
  maxVars: 100,
  /** Names and values together, in bytes of UTF-8: with its files, an app has to fit into one Kubernetes object of 1 MiB. */
  maxBytes: 256 * 1024,
  maxNameLength: 128,
  maxValueLength: 16_384,
} as const

/** Seconds without a request until an app sleeps, as an owner or an admin may set them. */
export const IDLE_TIMEOUT_S = { min: 5, max: 86_400 } as const

export const MAX_APP_NAME_LENGTH = 80
export const MAX_ENTRYPOINT_LENGTH = 300
export const PASSWORD_LENGTH = { min: 8, max: 256 } as const
