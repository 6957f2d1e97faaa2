import { client, pod } from './info.ts'

/** What a pod answers the platform until its app runs. */
export const POD_REFUSALS = {
  FP_POD_WAITING: pod(409, 'The pod waits to be told which app it runs.'),
  FP_POD_CLAIMED: pod(409, 'The pod was told which app it runs already. The platform takes another pod.'),
  FP_POD_WRONG_PROOF: pod(401, 'The caller did not prove that it knows the key of the pod.'),
  FP_POD_BAD_REQUEST: pod(400, 'The request to the pod is not valid.'),
  FP_POD_BAD_START_REQUEST: pod(400, 'The start request, which tells the pod its app, is not valid.'),
  FP_POD_BAD_CONTENT: pod(400, 'The content of an asset is not the one that the start request names.'),
} as const

/** What the client of the SDK throws where it has no answer of the platform. `status` is 0 without any answer. */
export const CLIENT_ERRORS = {
  FP_NETWORK: client(
    'The platform could not be reached, or the connection broke. Check the address and the network, then try again.',
  ),
  FP_BAD_ANSWER: client(
    'The answer is not one of the platform’s, such as a proxy’s page. Check the address and what is in between.',
  ),
} as const
