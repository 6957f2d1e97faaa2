// Vite's `?worker` suffix: the module as the constructor of a bundled, same-origin worker.
declare module '*?worker' {
  const create: new () => Worker
  export default create
}

// Vite's `?url` suffix: where the asset is served.
declare module '*?url' {
  const url: string
  export default url
}
