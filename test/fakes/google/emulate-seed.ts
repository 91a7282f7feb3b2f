/** The initial content of an emulated Google. */
export interface GoogleSeed {
  /** Redirect URIs of the only registered application. */
  readonly redirectUris?: readonly string[]
  /** The users. Ann and Bob by default. */
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
  /** The ID of a folder; by default the root of My Drive. */
  readonly parent?: string
  /** Omitted for folders. */
  readonly content?: string
}

export interface GoogleClient {
  readonly clientId: string
  readonly clientSecret: string
}

/** Google's issuer, independent of the address where it listens. */
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

/** The options in the format of `createEmulator`. */
export function emulatorOptions({ redirectUris = [], users = GOOGLE_USERS, files = [] }: GoogleSeed): object {
  const { clientId: client_id, clientSecret: client_secret } = GOOGLE_CLIENT
  return {
    service: 'google',
    port: 0,
    // Used in ID tokens only.
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
