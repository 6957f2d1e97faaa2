/** How the browser is started: from the path of Debian's package, since none is downloaded, and without background requests. */
export const CHROMIUM = {
  executablePath: process.env.FP_CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}
