// A single page app behind the platform's session cookie. Nothing is rendered on a server.
export const ssr = false
export const prerender = false
