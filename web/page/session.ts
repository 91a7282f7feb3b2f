const KEY = 'token'

/** The parts of the browser that a session uses. */
export interface SessionPorts {
  readonly storage: {
    getItem(key: string): string | null
    setItem(key: string, value: string): void
    removeItem(key: string): void
  }
  readonly location: { readonly hash: string; readonly pathname: string; readonly search: string }
  readonly history: { replaceState(state: null, unused: string, url: string): void }
}

/** Why no user is signed in. */
export type SignOutReason = 'never' | 'left' | 'expired'

/** The signed-in user: a bearer token in the tab's session storage. */
export class Session {
  /** `null` if no user is signed in. */
  token: string | null = null
  signOutReason: SignOutReason = 'never'
  readonly #ports: SessionPorts

  readonly #isDemo: boolean

  /** @param isDemo whether the server is a demo; only then a link may sign in */
  constructor(ports: SessionPorts, isDemo: boolean) {
    this.#ports = ports
    this.#isDemo = isDemo
    this.token = ports.storage.getItem(KEY)
    this.signInFromFragment()
  }

  /** The `sub` of the token, for display. Only the server verifies the token. */
  get user(): string | null {
    return this.token === null ? null : subjectOf(this.token)
  }

  get headers(): Readonly<Record<string, string>> {
    return this.token === null ? {} : { authorization: `Bearer ${this.token}` }
  }

  /**
   * Signs in with the token in `#token=…`, the link that a demo prints, and removes it from the address. On other
   * servers the fragment is ignored and the current user stays signed in. Otherwise a link could make users upload
   * their files into the account of its sender.
   * @returns whether it has signed in
   */
  signInFromFragment(): boolean {
    if (!this.#isDemo) return false
    const { location, history } = this.#ports
    const token = new URLSearchParams(location.hash.slice(1)).get('token')
    if (token === null) return false
    history.replaceState(null, '', location.pathname + location.search)
    if (token === '' || this.token !== null) return false
    this.signIn(token)
    return true
  }

  signIn(token: string): void {
    this.token = token
    this.#ports.storage.setItem(KEY, token)
  }

  /** Removes the token from this tab. The server has no list of tokens, so it cannot revoke copies. */
  signOut(reason: Exclude<SignOutReason, 'never'>): void {
    this.token = null
    this.signOutReason = reason
    this.#ports.storage.removeItem(KEY)
  }
}

/** Cleans up a pasted token: removes line breaks and the "Bearer" prefix. */
export function readToken(pasted: string): string {
  return pasted
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/^Bearer /i, '')
    .replaceAll(' ', '')
}

function subjectOf(token: string): string | null {
  try {
    const [, payload = ''] = token.split('.')
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown }
    return typeof sub === 'string' ? sub : null
  } catch {
    return null
  }
}
