import { request } from './info.ts'

/** Answers to requests. */
export const REQUEST_ERRORS = {
  // What was sent
  FP_BAD_REQUEST: request(
    400,
    'The request is not valid HTTP, or breaks a rule that has no code of its own. The message names the rule. The status is 408 where the request took too long to arrive, 405 for `CONNECT`, and 413 for chunk extensions that are too large.',
  ),
  FP_INVALID_JSON: request(400, 'The body is not JSON. Send one JSON object, encoded in UTF-8.'),
  FP_INVALID_MULTIPART: request(
    400,
    'The upload is not a multipart form with files. Send each file as a part whose field name is its path in the app.',
  ),
  FP_INVALID_CURSOR: request(
    400,
    'The cursor is not from this list. Leave it out to start at the first page.',
  ),
  FP_INVALID_FIELDS: request(
    422,
    'The body or the query has a missing, unknown or wrong field. `details` names each field and says what it takes.',
  ),
  FP_BODY_TOO_LARGE: request(
    413,
    'The body is larger than this route takes. The OpenAPI document has the limit as `x-body-limit`.',
  ),
  FP_BODY_TOO_COMPLEX: request(
    422,
    'The body has too many values, or they are nested too deep. Send fewer files, variables or fields.',
  ),
  FP_UNSUPPORTED_MEDIA_TYPE: request(
    415,
    'The route does not take this `Content-Type`. Send JSON, or a multipart form for assets.',
  ),
  FP_HEADERS_TOO_LARGE: request(
    431,
    'The request line and headers are larger, or have more lines, than the platform takes. Send fewer or shorter headers, cookies or query parameters.',
  ),
  FP_METHOD_NOT_ALLOWED: request(405, 'An app is not called with this method. Use another one.'),
  FP_METHOD_NOT_IMPLEMENTED: request(
    501,
    'The server does not know this method. Use one that is registered with IANA.',
  ),
  FP_HTTP_VERSION: request(
    505,
    'The platform speaks HTTP/1.1. Put a proxy with TLS in front of it for HTTP/2.',
  ),

  // Accounts and sessions
  FP_UNAUTHENTICATED: request(
    401,
    'There is no session, or it has ended. Log in, and send `Authorization: Bearer <access_token>` or the session cookie.',
  ),
  FP_BAD_CREDENTIALS: request(401, 'The name or the password is wrong. Check both and log in again.'),
  FP_CSRF: request(
    403,
    'A page of another origin made the request, so the session cookie does not count. Use the console at `PUBLIC_URL`, or send the token as `Authorization: Bearer …`.',
  ),
  FP_FORBIDDEN: request(403, 'Sign-up is closed on this installation. Ask its admin for an account.'),
  FP_USERNAME_TAKEN: request(409, 'Another account has this user name. Choose another name.'),
  FP_EMAIL_TAKEN: request(409, 'There is an account with this e-mail address. Log in instead.'),

  // What does not exist
  FP_NOT_FOUND: request(404, 'The API has no such route. See `/api/openapi.json` for the routes.'),
  FP_APP_NOT_FOUND: request(
    404,
    'You have no app with this id, or no app answers at this address. Check the id; deploy the app if it was never deployed.',
    'There is no app at this address.',
  ),
  FP_VERSION_NOT_FOUND: request(404, 'The app has no such version. Choose one from the list of versions.'),
  FP_DEPLOYMENT_NOT_FOUND: request(404, 'The app has no such deployment. Check the id.'),
  FP_TEMPLATE_NOT_FOUND: request(404, 'There is no such template. Choose one from the list of templates.'),
  FP_ASSET_NOT_FOUND: request(
    404,
    'The asset does not exist, or was deleted meanwhile. Load the draft again, or upload the file again.',
  ),

  // Files, variables and deploys
  FP_DRAFT_CONFLICT: request(
    409,
    'Someone else saved the draft since you loaded it. Load it again and repeat your change, or save without a revision to replace it.',
  ),
  FP_VALIDATION_FAILED: request(
    422,
    'The code has errors and was not deployed. `details` has each of them with file, line and column. Mend them and deploy again.',
  ),
  FP_ENTRYPOINT_MISSING: request(
    422,
    'The app has no Python file, so there is nothing to start. Add main.py with `app = FastAPI()` in it.',
  ),
  FP_FILE_PATH: request(
    422,
    'The path of a file is not allowed, or clashes with another one. The message says why; rename the file.',
  ),
  FP_FILE_EXTENSION: request(
    422,
    'Files of this kind are not taken here. Upload what is neither code nor text as an asset; compiled Python is never taken.',
  ),
  FP_FILE_TOO_LARGE: request(422, 'A file or asset is larger than one may be. Split it, or make it smaller.'),
  FP_FILES_TOO_LARGE: request(
    422,
    'The files or assets of the app are too large together. Delete some, or make them smaller.',
  ),
  FP_TOO_MANY_FILES: request(
    422,
    'The app or the upload has too many files. Delete some, or send fewer at once.',
  ),
  FP_ENV_VAR_NAME: request(
    422,
    'The name of an environment variable is not allowed or is reserved for the platform. Choose another name.',
  ),
  FP_TOO_MANY_ENV_VARS: request(422, 'The app has too many environment variables. Remove some.'),
  FP_ENV_VARS_TOO_LARGE: request(
    422,
    'The environment variables are too large together. Shorten some, or keep large texts in a file or the database.',
  ),
  FP_APP_NOT_DEPLOYED: request(409, 'The app has no live version. Deploy it first.'),
  FP_APP_BUSY: request(
    409,
    'The app is answering requests, so it is not put to sleep. Try again when they are answered; deploy the app again if it hangs.',
  ),

  // Quotas and storage
  FP_APP_LIMIT: request(409, 'You have as many apps as you may have. Delete one, or ask the admin for more.'),
  FP_DEPLOY_LIMIT: request(
    429,
    'You have deployed as often as you may within an hour. Wait for the time in `Retry-After`, or ask the admin for more.',
  ),
  FP_ASSET_QUOTA: request(
    422,
    'The assets of all your apps, with those of kept versions, are too large together. Delete apps or assets that you no longer need.',
  ),
  FP_STORAGE_LIMIT: request(
    409,
    'As many of your apps have or had storage as may have it. Delete one, or ask the admin for more.',
  ),
  FP_STORAGE_UNAVAILABLE: request(
    409,
    'This installation cannot give apps storage. The message says why. Keep data in the database (`PLATFORM_MONGO_URI`).',
  ),

  // Load
  FP_TOO_MANY_REQUESTS: request(
    429,
    'You send too many requests, or too many at once. Wait for the time in `Retry-After`, then send them more slowly.',
  ),
  FP_TOO_MANY_STREAMS: request(
    503,
    'Too many event streams are open. Close one, or try again after the time in `Retry-After`.',
  ),

  // What an app answers
  FP_APP_HEADERS_TOO_LARGE: request(
    502,
    'The headers of the app’s answer are larger, or have more lines, than the platform passes on. Send fewer or shorter headers.',
    'The headers of the app’s answer are too large.',
  ),
  FP_APP_TIMEOUT: request(
    504,
    'The app did not begin its answer in time. Look for what it waits for, and do long work after the answer.',
    'The app did not answer in time.',
  ),
} as const
