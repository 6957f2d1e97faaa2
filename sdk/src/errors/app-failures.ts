import { app, both } from './info.ts'

/** Why an app did not start or ended, or why a deployment failed: `failure.code`. Some are answers to requests as well. */
export const APP_FAILURES = {
  // The code of the app
  FP_APP_IMPORT_FAILED: app(
    'The code raised an exception when it was imported. The failure has the traceback; mend the line that it names and deploy again.',
  ),
  FP_APP_NOT_FOUND_IN_CODE: app(
    'The entrypoint names no ASGI app in the code. Set the entrypoint, such as `main:app`, or give the app that name.',
  ),
  FP_APP_STARTUP_FAILED: app(
    'The app raised an exception while it started (its lifespan), or disturbed the process that runs it. Mend what the message names and deploy again.',
  ),
  FP_APP_START_TIMEOUT: app(
    'The app was not ready in time. Look for a loop, or for what it waits for, at the top of a file or in its lifespan.',
  ),
  FP_APP_CRASHED: both(
    502,
    'The app could not start, ended by itself, closed a connection before its answer was complete, or answered in invalid HTTP. Its failure and its log say why. The next request starts it again.',
    { isEnd: true, visitor: 'The app could not start. Its owner sees why in the console.' },
  ),
  FP_APP_OUT_OF_MEMORY: app(
    'The app used more memory than an app may have, and was ended. Load less at once; keep large data in the database or in storage.',
    { isEnd: true },
  ),

  // The machine or the cluster
  FP_SANDBOX_FAILED: app(
    'The platform could not set up the process of the app. Deploy again; tell the admin if it happens again.',
    { isTemporary: true },
  ),
  FP_RUNNER_ENDED: app(
    'The runner, which runs all apps, ended and was started again. The next request starts the app.',
    { isTemporary: true },
  ),
  FP_APP_EVICTED: app(
    'The node ran short of memory or disk, or was drained, and the cluster ended the app. The next request starts it again.',
    { isTemporary: true },
  ),
  FP_CLUSTER_FULL: app(
    'The cluster has no room for the app, or no volume for its storage. Put other apps to sleep, try again later, or tell the admin.',
    { isTemporary: true },
  ),
  FP_CLUSTER_IMAGE: app(
    'The cluster cannot get the image that runs apps. Tell the admin: see `FP_RUNNER_IMAGE`.',
    {
      isTemporary: true,
    },
  ),
  FP_CLUSTER_POD: app(
    'The cluster refuses or does not start the pod of the app, or does not answer. Tell the admin: the message has the reason.',
    { isTemporary: true },
  ),

  // Waking and deploying
  FP_WAKE_TIMEOUT: both(
    504,
    'The app was not ready in time. Look for a loop, or for what it waits for, at the top of a file; try again if the machine was busy.',
    { visitor: 'The app did not start in time.' },
  ),
  FP_AWAKE_LIMIT: both(
    503,
    'As many of your apps are awake as may be, and each is answering requests. Put one to sleep, or ask the admin for more.',
    {
      visitor:
        'The owner of this app has as many apps awake as one user may have, and all of them are busy. Try again in some seconds.',
    },
  ),
  FP_MEMORY_FULL: both(
    503,
    'Awake apps use all the memory that they may, and each is answering requests. Try again in some seconds. An admin can raise FP_MAX_AWAKE_MB.',
    { visitor: 'The memory of this server is in use by other apps. Try again in some seconds.' },
  ),
  FP_QUEUE_FULL: both(
    503,
    'Too many requests wait for the app, or they waited too long for a place at it, or too much work of this kind waits. Try again after the time in `Retry-After`.',
    { visitor: 'Too many requests are waiting for this app. Try again shortly.' },
  ),
  FP_SUPERSEDED: both(409, 'A newer deployment went live before this one could. Nothing needs to be done.'),
  FP_APP_DELETED: both(409, 'The app was deleted while it was being deployed.'),
  FP_UNAVAILABLE: both(
    503,
    'The platform is stopping, or cannot reach its database, or has no room for the request. Try again after the time in `Retry-After`; deploy again if a deployment failed with it.',
    { visitor: 'The server cannot start the app just now. Try again shortly.' },
  ),
  FP_INTERNAL: both(
    500,
    'The platform has a fault of its own. Its log has the reason under the `request_id`. Try again, and tell the admin.',
    { visitor: 'Something went wrong on the way to the app.' },
  ),
} as const
