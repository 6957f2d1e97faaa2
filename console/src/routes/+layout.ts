// A single page app behind the platform's session cookie: nothing to render on a server.
export const ssr = false
export const prerender = false
