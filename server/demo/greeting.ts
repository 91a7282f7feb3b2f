export interface Greeting {
  /** `http://host:port` */
  readonly address: string
  readonly token: string
  readonly folder: string
  readonly store: string
  readonly objects: number
  readonly listings: readonly { readonly title: string; readonly query: Record<string, string> }[]
  readonly documents: readonly { readonly title: string; readonly id: string }[]
}

/** Returns the text for the terminal: the link, what to try first, and commands to paste into a shell. */
export function formatGreeting(demo: Greeting): string {
  const { address, token, folder, store, objects } = demo
  const link = `${address}/#token=${token}`
  return `
This demo runs only on your machine. No accounts needed; press Ctrl-C to stop.

Open this link (Ctrl-click):

  ${link}

Try first: open Invoices, then a month, select two files and press "Add to documents".

  Data      ${folder} (database, documents and secrets; delete it to start over)
  Storage   ${store}, an S3-compatible store in memory with ${objects} sample objects, new at each start.
            It is the only local address that connections may use.

Use the API from another terminal:

TOKEN=${token}

${exampleCommands(demo).join('\n\n')}

"npm run demo" adds an emulated Google Drive, WebDAV and a folder with 5,000 files. To run a service, set DATABASE_URL:
.env.example explains every variable.

The link again:

  ${link}

`
}

function exampleCommands({ address, listings, documents }: Greeting): string[] {
  const curl = (path: string, ...headers: string[]): string => {
    const headerArguments = headers.map((header) => ` -H ${quote(header)}`).join('')
    return `curl -i -H "Authorization: Bearer $TOKEN"${headerArguments} ${quote(address + path)}`
  }
  return [
    ...listings.map(({ title, query }) => {
      const search = new URLSearchParams(query).toString()
      return `# ${title}\n${curl(`/cloud/s3/listing${search === '' ? '' : `?${search}`}`)}`
    }),
    ...documents.map(({ title, id }) => `# ${title}\n${curl(`/documents/${id}/content`, 'Range: bytes=0-199')}`)
  ]
}

/** Quotes a text for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
