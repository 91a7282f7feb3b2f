export interface Greeting {
  /** `http://host:port` */
  readonly address: string
  readonly user: string
  readonly token: string
  readonly folder: string
  readonly store: string
  readonly objects: number
  readonly listings: readonly { readonly title: string; readonly query: Record<string, string> }[]
  readonly documents: readonly { readonly title: string; readonly id: string }[]
}

/** Says what the demo is, what it made up and where, and what to try: lines to paste into a shell. */
export function greeting(demo: Greeting): string {
  const { address, user, folder, store, objects } = demo
  return `
fastify-cloud-storage: a demo for this machine, not for production.

  Address   ${address}
  User      ${user}, with the token in the addresses below (good for ten years)

Made up for the demo, and kept in ${folder} (yours alone):
  secrets.json   the key that seals credentials and the secret that signs tokens
  postgres/      the database: PostgreSQL in this process (PGlite)
  objects/       the documents that the server keeps itself

In memory, and new at each start:
  ${store}   an S3-compatible store with ${objects} sample objects, which ${user} has connected;
  of this machine's addresses it is the one that connections may reach

Open this in a browser:

  ${address}/#token=${demo.token}

Or try it by its routes:

${tries(demo).join('\n\n')}

Ctrl-C ends it. With DATABASE_URL it is a service: .env.example explains every variable.

`
}

function tries({ address, token, listings, documents }: Greeting): string[] {
  const curl = (path: string, ...headers: string[]): string => {
    const given = [`Authorization: Bearer ${token}`, ...headers].map((header) => `-H ${quote(header)}`)
    return `curl -i ${given.join(' ')} ${quote(address + path)}`
  }
  return [
    ...listings.map(({ title, query }) => {
      const search = new URLSearchParams(query).toString()
      return `# ${title}\n${curl(`/cloud/s3/listing${search === '' ? '' : `?${search}`}`)}`
    }),
    ...documents.map(({ title, id }) => `# ${title}\n${curl(`/documents/${id}/content`, 'Range: bytes=0-199')}`)
  ]
}

/** For a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
