/**
 * Under this prefix the runner gets what a client's connection was (see `clientPrefix` of @fp/scaler/http): its address, and
 * the headers that a proxy must write itself. `runner/src/fp_runner/client.py` puts them back. Only the platform reaches an
 * app's socket, and it overwrites what clients send under these names, so nobody can forge them.
 */
export const CLIENT_PREFIX = 'fp-client'
