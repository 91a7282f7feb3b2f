import type { DemoWorld } from './world.ts'

/** Returns the text for the terminal: the link, what to try first, and how to connect each cloud. */
export function formatGreeting({ pageUrl, google, webdav, s3, controlsUrl, folder }: DemoWorld): string {
  return `
This demo runs only on your machine. No accounts needed; press Ctrl-C to stop.

Open this link (Ctrl-click):

  ${pageUrl}

Try first: connect Google Drive, open "Five thousand" and scroll; then open Documents, select two files and press
"Add to documents".

  S3-compatible storage   Already connected (${s3.endpoint}).

  Google Drive            Press "Connect Google Drive" and choose ${google.account.name}. The sign-in window is an emulated
                          Google: it is green on black and looks unlike the real one.
                          "Five thousand" is a folder with 5,000 files, "Names" has unusual file names.

  WebDAV                  Press "Connect WebDAV" and enter:
                            Address     ${webdav.baseUrl}
                            User name   ${webdav.username}
                            Password    ${webdav.password}

Then open this page beside it. "Add a file" changes Google Drive as a colleague would: the file appears in the open
folder without a reload. Other buttons revoke the access, throttle, or slow down:

  ${controlsUrl}

Everything listens on 127.0.0.1. Temporary data is in ${folder} and is deleted at the end.

The link again:

  ${pageUrl}

`
}
