/** How the browser is started: where Debian's package puts it, for none is downloaded; and with nothing that calls home. */
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
