/** Environment variables that the platform sets for the runner. No admin sets them. */
export const RUNNER_SETTINGS = ['FP_NETWORK', 'FP_POD_KEY', 'FP_SESSION_KEY', 'FP_STOP_GRACE_S']
