/** What an emulated Google holds when it starts. */
export interface GoogleSeed {
  /** Of the one application that is registered. */
  readonly redirectUris?: readonly string[]
  /** Who can sign in. Ann and Bob unless said otherwise. */
  readonly users?: readonly GoogleUser[]
  /** Items of the first user's Drive. */
  readonly files?: readonly GoogleFile[]
}

export interface GoogleUser {
  readonly email: string
  readonly name: string
}

export interface GoogleFile {
  readonly id: string
  readonly name: string
  /** The id of a folder; left out: the top of My Drive. */
  readonly parent?: string
  /** Left out: it is a folder. */
  readonly content?: string
}

export interface GoogleClient {
  readonly clientId: string
  readonly clientSecret: string
}

/** Who Google says it is, wherever it listens. */
export const GOOGLE_ISSUER = 'https://accounts.google.com'
export const GOOGLE_CLIENT: GoogleClient = {
  clientId: '407408718192.apps.googleusercontent.com',
  clientSecret: 'GOCSPX-not-a-true-one'
}
export const GOOGLE_USERS = [
  { email: 'ann@example.org', name: 'Ann Example' },
  { email: 'bob@example.org', name: 'Bob Example' }
] as const

const FOLDER = 'application/vnd.google-apps.folder'

/** In the words of `createEmulator`. */
export function emulatorOptions({ redirectUris = [], users = GOOGLE_USERS, files = [] }: GoogleSeed): object {
  const { clientId: client_id, clientSecret: client_secret } = GOOGLE_CLIENT
  return {
    service: 'google',
    port: 0,
    // It stands in ID tokens alone.
    baseUrl: GOOGLE_ISSUER,
    seed: {
      google: {
        users,
        oauth_clients: [{ client_id, client_secret, name: 'Cloud storage', redirect_uris: redirectUris }],
        drive_items: files.map(({ id, name, parent = 'root', content }) => ({
          id,
          name,
          user_email: users[0]?.email,
          mime_type: content === undefined ? FOLDER : 'text/plain',
          parent_ids: [parent],
          ...(content !== undefined && { data: content })
        }))
      }
    }
  }
}
