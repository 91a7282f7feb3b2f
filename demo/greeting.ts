import type { DemoWorld } from './world.ts'

/** What there is to click, and what to paste: the link of the page first. */
export function greeting({ pageUrl, google, webdav, s3, controlsUrl, folder }: DemoWorld): string {
  return `
Open this link:

  ${pageUrl}

It is a demo for this machine: nobody has to sign up anywhere, and all of it ends with Ctrl-C. Three clouds are there:

  S3-compatible storage   is connected already (${s3.endpoint})

  Google Drive            Press "Connect Google Drive". A window opens with an emulated Google: choose ${google.account.name}.
                          "Five thousand" is a folder of 5,000 files, "Names" has names that are hard to show.

  WebDAV                  Press "Connect WebDAV", and fill in:
                            Address     ${webdav.baseUrl}
                            User name   ${webdav.username}
                            Password    ${webdav.password}

To see what happens when Google takes the access away, throttles, or is slow, open this page beside it:

  ${controlsUrl}

Everything is on 127.0.0.1. What the demo keeps meanwhile is in ${folder}, and goes with it.

`
}
